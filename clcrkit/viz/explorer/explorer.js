function h(tag,attributes={},...children){const el=document.createElement(tag);for(const[name,value]of Object.entries(attributes)){
if(name.startsWith("on"))el.addEventListener(name.slice(2),value);else if(name==="text")el.textContent=value;else if(value===
true)el.setAttribute(name,"");else if(value!==false&&value!=null)el.setAttribute(name,value)}for(const child of children)
if(child!=null)el.append(child);if(/^(input|select|button|canvas)$/.test(tag))el.setAttribute("data-lm-suppress-shortcut\
s","true");return el}var note=(text,more="")=>h("p",{class:`clcr-note${more&&` ${more}`}`,text});var button=(text,onclick)=>h(
"button",{type:"button",text,onclick});var inputValue=event=>event.target.value;var isTicked=event=>event.target.checked;
function hovered(el,over,left){const byFinger=event=>event.pointerType==="touch";el.addEventListener("pointermove",over);
el.addEventListener("pointerdown",event=>byFinger(event)&&over(event));el.addEventListener("pointerleave",event=>byFinger(
event)||left())}function contextOf(canvas,settings){const ctx=canvas.getContext("2d",settings);if(!ctx)throw new Error("this browser giv\
es no canvas to draw on");return ctx}function canvasOf(image,canvas=document.createElement("canvas")){if(canvas.width!==
image.width)canvas.width=image.width;if(canvas.height!==image.height)canvas.height=image.height;contextOf(canvas,{willReadFrequently:true}).
putImageData(image,0,0);return canvas}var same=(some,others)=>some.length===others.length&&some.every((part,i)=>part===others[i]);
var KeptImage=class{constructor(){this.canvas=document.createElement("canvas");this.parts=[]}of(parts,make){if(!same(parts,
this.parts))canvasOf(make(),this.canvas);this.parts=parts;return this.canvas}};var Canvas=class{constructor(app,parent,height,label,draw){
this.app=app;this.draw=draw;this.width=0;this.height=height;this.scale=1;this.shown=[];this.el=h("canvas",{tabindex:0,role:"\
img","aria-label":label,style:`height:${height}px`});parent.append(this.el);this.ctx=contextOf(this.el);const watch=new ResizeObserver(
()=>{this.width=this.el.clientWidth;if(!this.fit())return;this.shown=[];app.refresh()});watch.observe(this.el);this.el.addEventListener(
"contextrestored",()=>this.paint());app.cleanups.push(()=>watch.disconnect())}setHeight(height){if(height===this.height)
return;this.height=height;this.el.style.height=`${height}px`}fit(){this.scale=window.devicePixelRatio||1;const[wide,high]=[
this.width,this.height].map(size=>Math.round(size*this.scale));if(this.el.width===wide&&this.el.height===high)return false;
this.el.width=wide;this.el.height=high;return true}show(...parts){const{theme}=this.app;const all=[...parts,this.width,this.
height,window.devicePixelRatio,theme.name,theme.paper];if(same(all,this.shown))return;this.paint();this.shown=all}paint(){
this.shown=[];if(this.app.unpainted)this.app.unpainted.add(this);else this.redraw()}redraw(){if(!this.width)return;this.
fit();this.ctx.setTransform(this.scale,0,0,this.scale,0,0);this.ctx.clearRect(0,0,this.width,this.height);this.draw(this.
ctx,this.width,this.height)}at(event){const box=this.el.getBoundingClientRect();return[event.clientX-box.left,event.clientY-
box.top]}};function mark(ctx,shape,x,y,r){ctx.beginPath();if(shape==="circle")ctx.arc(x,y,r,0,7);else if(shape==="square")
ctx.rect(x-r*.88,y-r*.88,r*1.76,r*1.76);else if(shape==="triangle"){ctx.moveTo(x,y-r*1.15);ctx.lineTo(x+r*1.1,y+r*.85);ctx.
lineTo(x-r*1.1,y+r*.85);ctx.closePath()}else if(shape==="diamond"){ctx.moveTo(x,y-r*1.25);ctx.lineTo(x+r*1.25,y);ctx.lineTo(
x,y+r*1.25);ctx.lineTo(x-r*1.25,y);ctx.closePath()}else{const a=r*.42;ctx.rect(x-a,y-r*1.15,2*a,r*2.3);ctx.rect(x-r*1.15,
y-a,r*2.3,2*a)}}function pen(ctx,color,width){ctx.strokeStyle=color;ctx.lineWidth=width}function line(ctx,places,dashes=[]){
ctx.setLineDash(dashes);ctx.beginPath();places.forEach(([x,y],i)=>{if(i)ctx.lineTo(x,y);else ctx.moveTo(x,y)});ctx.stroke();
ctx.setLineDash([])}function ring(ctx,x,y,r){ctx.beginPath();ctx.arc(x,y,r,0,7);ctx.stroke()}function write(ctx,text,x,y,align,color){
ctx.textAlign=align;ctx.fillStyle=color;ctx.fillText(text,x,y)}var EXPLAIN={level:"Level: how far the encoder has looked. Shallow tokens see their neighbours, deep ones long stretches\
.",gamma:"γ multiplies every budget. Lower it and fewer tokens get a share of the exchange; 1 is as trained.",evidence:"\
Evidence e: the length of a token's shared part. The model asks: how much has it to say to the others?",cut:"Cut: the ev\
idence above which a token gets a share. It follows the budget: threshold plus λ over the scale.",activation:"Activatio\
n v: scale times the evidence above the threshold, both learned. It is what a token asks for.",cutoff:"Cut-off λ: what t\
he budget takes from every activation. A token below the line gets nothing.",allocation:"Allocation α: what a token gets\
, v − λ, never below 0. It weighs its attention and its part in the summary.",budget:"Budget B: tokens' worth of shar\
es that one modality may spend at this level, γ times what was learned.",participation:"Participation r: allocated shar\
e for each real token, between 0 (silent) and 1 (all take part).",prediction:"Prediction: what the model's head says. Th\
e small tick is the answer as traced.",attention:"Attention: of what a token hears, the part that comes from each token \
of the other modalities.",weighted:"Weighted: attention times the listener's allocation α, which is what really enters t\
he token.",levelgate:"Level gate ω: how much each level counts in the codes. The three sum to 1, so each sample is one p\
oint.",modalitygate:"Modality gate: how much each modality gives to the shared code. The gates sum to 1.",privategate:"P\
rivate gate η: how far each modality's private summary is let in; each lies between 0 and 1 on its own.",space:"Shared:\
 what modalities can exchange. Private: what each keeps. The codes are what the prediction is made from.",projection:"Th\
e two directions drawn. PCA keeps the largest spread; UMAP keeps neighbours, not distances.",trace:"Trace a is the one o\
f all other views; b, with which it is compared, is turned to lie nearest to it.",compare:"Two traces of the same sample\
s: a, which the other views show, and b. Differences are b minus a.",changed:"Select the samples whose prediction change\
d; the others are dimmed, and ‹ › step through these.",difference:"For each gate and budget share, b minus a, both a\
s traced. Bar: the middle 80 % of the samples; tick: their mean; ring: the picked one.",gain:"Difference in allocation, \
b minus a: above the line b gives the token more than a does. Both at the γ of the slider, and with the same tokens mute\
d.",density:"Lines around the densest regions. Where points cover each other, only these tell how many lie there.",zoom:"\
Enlarge the picture around its points. Off, the range is fixed, so that pictures can be compared.",probe:"A linear class\
ifier reads each target from this space, cross-validated. Only what stands above its shuffled control is really there.",
shuffled:"The same classifier trained on shuffled labels: what the number of samples alone would give.",selection:"Click\
 a point, or draw a loop around several. Shift adds to the selection; Esc clears it."};var FIELDS={allocation:"budget",tokens:"\
tokens",shared:"shared coordinates",private:"private coordinates",exchanged:"exchange",attention:"attention",shared_summary:"\
shared summaries",private_summary:"private summaries",level_gate:"level gates",modality_gate:"modality gates",private_gate:"\
private gates",shared_code:"shared code",private_code:"private code"};function leftOut(absent){const words=absent.map(name=>FIELDS[name]??
name);const last=words.length>1?` or ${words[words.length-1]}`:"";const first=last?words.slice(0,-1).join(", "):words.join(
"");return`This model has no ${first}${last} to show.`}var PATIENCE=300;function term(app,key,label){const el=h("span",{class:"clcr-term",tabindex:0,text:label,"aria-descripti\
on":EXPLAIN[key]});const show=()=>{const box=el.getBoundingClientRect();app.tip({clientX:box.left,clientY:box.bottom},[EXPLAIN[key]])};
el.addEventListener("pointerenter",show);el.addEventListener("focus",show);el.addEventListener("pointerleave",()=>app.untip());
el.addEventListener("blur",()=>app.untip());return el}function panel(app,name,title,explain,controls,body){const header=h(
"header",{},h("h2",{},term(app,explain,title)),h("div",{class:"clcr-controls"},...controls));return h("section",{class:`\
clcr-panel clcr-${name}`,"aria-label":title},header,h("div",{class:"clcr-body"},...body))}var palings=new WeakMap;function markWaiting(el,waiting){
if(el.classList.contains("clcr-waiting")===waiting)return;el.classList.toggle("clcr-waiting",waiting);clearTimeout(palings.
get(el));if(waiting)palings.set(el,setTimeout(()=>el.classList.add("clcr-late"),PATIENCE));else el.classList.remove("clc\
r-late")}function picker(app,name,label,options,explain){const onchange=event=>{const value=inputValue(event);app.set(name===
"head"?{head:Number(value)}:{[name]:value})};const items=options.map(([value,text])=>h("option",{value,text}));const select=h(
"select",{"aria-label":label,"data-trait":name,onchange},...items);app.pickers.push({name,select});return h("label",{class:"\
clcr-control"},explain?term(app,explain,label):h("span",{text:label}),select)}function tickBox(app,explain,label,run,checked=false){
const onchange=event=>{run(isTicked(event));app.refresh()};return h("label",{class:"clcr-control clcr-check"},h("input",
{type:"checkbox",checked,onchange}),term(app,explain,label))}function walkTokens(app,el,count,modality,arrive){el.addEventListener(
"blur",()=>{app.point(null);app.untip()});el.addEventListener("keydown",event=>{const last=count()-1;if(last<0)return;const now=app.
tokenOf(modality());const steps={ArrowRight:now+1,ArrowLeft:now<0?0:now-1,Home:0,End:last};const next=steps[event.key];if(next===
void 0)return;const i=Math.min(last,Math.max(0,next));app.point({modality:modality(),i});arrive(i);event.preventDefault()})}function fmt(x,digits=2){return Number.isFinite(x)?x.toFixed(digits).replace(/^-(0(\.0+)?)$/,"$1"):"–"}var signed=(x,digits=2)=>(x>=
.5*10**-digits?"+":"")+fmt(x,digits).replace("-","−");var counted=count=>count.toLocaleString("en");var clamp=(x,low,high)=>Math.
min(high,Math.max(low,x));function sum(values){let total=0;for(const v of values)total+=v;return total}function extent(values){
let low=Number.POSITIVE_INFINITY;let high=Number.NEGATIVE_INFINITY;for(const v of values){if(v<low)low=v;if(v>high)high=
v}return[low,high]}function quantile(sorted,q){if(!sorted.length)return Number.NaN;const at=(sorted.length-1)*q;const low=Math.
floor(at);return sorted[low]+(at-low)*((sorted[low+1]??sorted[low])-sorted[low])}function nearestIndex(values,x){let best=0;
values.forEach((v,i)=>{if(Math.abs(v-x)<Math.abs(values[best]-x))best=i});return best}function scattered(i){let x=Math.imul(
i+1,2654435761)>>>0;x=Math.imul(x^x>>>15,2246822519)>>>0;return((x^x>>>13)>>>0)/4294967296}function project(activation,budget){
const spent=cut=>{let total=0;for(const a of activation){const part=a-cut;if(part>0)total+=Math.min(part,1)}return total};
let low=0;let high=0;if(spent(0)>budget+1e-9){high=Math.max(...activation);for(let i=0;i<50;i++){const middle=(low+high)/
2;if(spent(middle)>budget)low=middle;else high=middle}}return{cutoff:high,allocation:activation.map(a=>clamp(a-high,0,1))}}
function softmax(logits){const most=Math.max(...logits);const e=Array.from(logits,v=>Math.exp(v-most));const total=sum(e);
return e.map(v=>v/total)}var sigmoids=logits=>Array.from(logits,v=>1/(1+Math.exp(-v)));var rgbOf=hex=>[1,3,5].map(i=>Number.
parseInt(hex.slice(i,i+2),16));function rampColor(stops,t){const at=clamp(t,0,1)*(stops.length-1);const low=Math.min(stops.
length-2,Math.floor(at));const part=at-low;return stops[low].map((v,c)=>Math.round(v+(stops[low+1][c]-v)*part))}var LEFT=78;var RIGHT=12;var GAP=22;var TOP=8;var FOOT=40;function heatPlaces({rows,speakers,others},width,height){const cell=(width-
LEFT-RIGHT-GAP*(others.length-1))/speakers.length;return{left:LEFT,top:TOP,rowHeight:(height-FOOT-TOP)/rows,listeners:0,
speakers:cell,x:()=>LEFT,k:j=>LEFT+GAP*others.indexOf(speakers[j].modality)+(j+.5)*cell}}function drawHeat(ctx,app,data,image,places,width,height,cell){
const{theme}=app;const{tokens,rows,speakers}=data;const bottom=height-FOOT;ctx.imageSmoothingEnabled=false;let from=0;for(const m of data.
others){const count=speakers.filter(s=>s.modality===m).length;const[x,wide]=[places.k(from)-places.speakers/2,count*places.
speakers];ctx.drawImage(image,from,0,count,rows,x,TOP,wide,bottom-TOP);pen(ctx,theme.ink(.3),1);ctx.strokeRect(x,TOP,wide,
bottom-TOP);ctx.font=theme.font(11,true);const color=theme.modality(app.data.table.modalities.indexOf(m));write(ctx,`${m}\
 speaks`,x+wide/2,bottom+30,"center",color);ctx.font=theme.font(11);for(const j of count>1?[0,count-1]:[0]){const at=x+(j+
.5)*places.speakers;write(ctx,String(speakers[from+j].position),at,bottom+13,"center",theme.ink(.65))}from+=count}write(
ctx,tokens.modality,LEFT-8,(TOP+bottom)/2,"right",theme.ink(.85));write(ctx,"listens",LEFT-8,(TOP+bottom)/2+13,"right",theme.
ink(.85));write(ctx,String(tokens.positions[0]),LEFT-8,TOP+10,"right",theme.ink(.65));write(ctx,String(tokens.positions[rows-
1]),LEFT-8,bottom,"right",theme.ink(.65));frame(ctx,app,data,places,width-LEFT-RIGHT,bottom,cell)}function pixels(app,{drawn,
peak,rows,speakers}){const{paperRGB,shades}=app.theme;const[red,green,blue]=paperRGB;const[toRed,toGreen,toBlue]=rgbOf(shades.
heat).map((strong,c)=>strong-paperRGB[c]);const most=peak||1;const image=new ImageData(speakers.length,rows);const bytes=image.
data;for(let q=0,at=0;q<drawn.length;q++,at+=4){const part=Math.sqrt(drawn[q]/most);bytes[at]=red+toRed*part;bytes[at+1]=
green+toGreen*part;bytes[at+2]=blue+toBlue*part;bytes[at+3]=255}return image}function frame(ctx,app,{tokens,rows,speakers},places,width,bottom,cell){
const{token}=app;pen(ctx,app.theme.warning,1.5);if(token?.modality===tokens.modality&&token.i<rows){ctx.strokeRect(LEFT,
TOP+token.i*places.rowHeight,width,places.rowHeight)}else if(token){const j=speakers.findIndex(s=>s.modality===token.modality&&
s.i===token.i);if(j>=0)ctx.strokeRect(places.k(j)-places.speakers/2,TOP,places.speakers,bottom-TOP)}if(cell){const[t,j]=cell;
const y=TOP+t*places.rowHeight;ctx.strokeRect(places.k(j)-places.speakers/2,y,places.speakers,places.rowHeight)}}function tokensOf(block,row,modality,level,mutes){const lane=block.lanes[modality];if(row<0||!lane)return null;const[,levels,
length]=lane.evidence.shape;const positions=[];for(let t=0;t<length;t++)if(lane.mask.v[row*length+t])positions.push(t);if(!positions.
length)return null;const start=(row*levels+level)*length;const take=values=>positions.map(t=>values.v[start+t]);const muted=positions.
map(t=>mutes.some(([m,l,token])=>m===modality&&l===level&&token===t));const bins=lane.features?.shape[2]??0;const asked2=values=>take(
values).map((v,i)=>muted[i]?0:v);return{modality,positions,evidence:take(lane.evidence),activation:asked2(lane.activation),
muted,text:positions.map(t=>block.texts[lane.text.v[row*length+t]]),truth:lane.truth?take(lane.truth):null,bins,features:lane.
features&&bins?strips(lane.features,row,positions):null,threshold:block.threshold?block.threshold.v[row*levels+level]:null,
scale:block.scale?block.scale.v[row*levels+level]:1,budget:lane.budget.v[row*levels+level],other:lane.other&&lane.other_budget?
{activation:asked2(lane.other),budget:lane.other_budget.v[row*levels+level]}:null}}function strips(features,row,positions){
const[,length,bins]=features.shape;const bytes=new Uint8Array(positions.length*bins);positions.forEach((t,i)=>{for(let b=0;b<
bins;b++)bytes[i*bins+b]=features.v[(row*length+t)*bins+b]});return bytes}function shareOf(tokens,gamma,sparse){if(!sparse)
return{budget:tokens.budget,cutoff:0,allocation:tokens.activation};const budget=tokens.budget*gamma;return{budget,...project(
tokens.activation,budget)}}function gainOf(tokens,share,gamma,sparse){if(!tokens.other)return null;const{allocation}=shareOf(
{...tokens,...tokens.other},gamma,sparse);return allocation.map((part,i)=>part-share.allocation[i])}function cutOf(tokens,cutoff){
return tokens.threshold===null?null:tokens.threshold+cutoff/tokens.scale}function weightsOf(attention,sample,modality,level,head,tokensAt){
const tokens=tokensAt(modality);const listener=attention.of[modality];const{pool}=attention;const at=attention.levels.indexOf(
level);if(!tokens||!listener||at<0||![null,head].includes(attention.head))return null;const row=attention.ids.indexOf(sample);
const[,levels,heads,length,width]=listener.weights.shape;const speakers=[];let offset=0;for(const[other,width2]of listener.
others){const its=tokensAt(other);its?.positions.forEach((position,i)=>{speakers.push({modality:other,i,position,at:offset+
Math.floor(position/pool),text:its.text[i]})});offset+=width2}if(!speakers.length)return null;const rows=tokens.positions.
length;const columns=speakers.length;const weights=new Float32Array(rows*columns);const isAll=attention.head!==null||head<
0;const chosen=isAll?Array.from({length:heads},(_,i)=>i):[head];const[parts,places]=[listener.weights.v,Int32Array.from(
speakers,speaker=>speaker.at)];tokens.positions.forEach((t,i)=>{for(const h2 of chosen){const line2=((row*levels+at)*heads+
h2)*length+Math.floor(t/pool);const scale=listener.top.v[line2]/255/chosen.length;for(let j=0;j<columns;j++)weights[i*columns+
j]+=parts[line2*width+places[j]]*scale}});return{tokens,rows,speakers,weights}}function strongest(weights,most){let all=0;
let total=0;let peak=0;for(const v of weights){if(!(v>0))continue;all++;total+=v;if(v>peak)peak=v}const least=all>most?Float32Array.
from(weights).sort()[weights.length-most]:0;const links=[];let carried=0;for(let q=0;q<weights.length;q++){if(!(weights[q]>
0&&weights[q]>=least&&links.length<most))continue;links.push(q);carried+=weights[q]}return{links,all,peak,part:total?carried/
total:0}}var LINKS=250;var LEFT2=78;var RIGHT2=12;var GAP2=22;var TOP2=50;var FOOT2=58;var linksOf=data=>strongest(data.drawn,LINKS);
function linkPlaces({rows,speakers,others},width){const listenerWidth=Math.min(34,(width-LEFT2-RIGHT2)/rows);const speakerWidth=Math.
min(34,(width-LEFT2-RIGHT2-GAP2*(others.length-1))/speakers.length);return{left:LEFT2,top:TOP2,rowHeight:0,listeners:listenerWidth,
speakers:speakerWidth,x:t=>LEFT2+(t+.5)*listenerWidth,k:j=>LEFT2+GAP2*others.indexOf(speakers[j].modality)+(j+.5)*speakerWidth}}
function drawLinks(ctx,app,data,places,height){const bottom=height-FOOT2;const{token}=app;const mine=token?.modality===data.
tokens.modality&&token.i<data.rows?token.i:-1;const theirs=token&&mine<0?data.speakers.findIndex(s=>s.modality===token.modality&&
s.i===token.i):-1;drawCurves(ctx,app,data,places,bottom,mine,theirs);drawListeners(ctx,app,data,places,mine);drawSpeakers(
ctx,app,data,places,bottom,theirs);const ink=app.theme.ink(.85);write(ctx,data.tokens.modality,LEFT2-8,TOP2-3,"right",ink);
write(ctx,"listens",LEFT2-8,TOP2+11,"right",ink);write(ctx,"speak",LEFT2-8,bottom+10,"right",ink);writeTexts(ctx,data.tokens.
text,places.x,places.listeners,14,mine,ink);const texts=data.speakers.map(s=>s.text);writeTexts(ctx,texts,places.k,places.
speakers,bottom+42,theirs,ink);ctx.font=app.theme.font(11,true);for(const m of data.others){const first=data.speakers.findIndex(
s=>s.modality===m);const last=data.speakers.findLastIndex(s=>s.modality===m);write(ctx,m,(places.k(first)+places.k(last))/
2,height-3,"center",colorOf(app,m))}ctx.font=app.theme.font(11)}var colorOf=(app,modality)=>app.theme.modality(app.data.
table.modalities.indexOf(modality));function drawCurves(ctx,app,{drawn,speakers},places,bottom,mine,theirs){const columns=speakers.
length;const{links,peak}=strongest(drawn,LINKS);let shown=links;let ceiling=peak||1;if(mine>=0||theirs>=0){shown=[];drawn.
forEach((v,q)=>{const followed=mine>=0?Math.floor(q/columns)===mine:q%columns===theirs;if(v>0&&followed)shown.push(q)});
ceiling=Math.max(...shown.map(q=>drawn[q]),1e-12)}shown.sort((p,q)=>drawn[p]-drawn[q]);const middle=(TOP2+bottom)/2;for(const q of shown){
const v=drawn[q]/ceiling;const[x0,x1]=[places.x(Math.floor(q/columns)),places.k(q%columns)];pen(ctx,colorOf(app,speakers[q%
columns].modality),.5+3.2*v);ctx.globalAlpha=.1+.8*v;ctx.beginPath();ctx.moveTo(x0,TOP2);ctx.bezierCurveTo(x0,middle,x1,
middle,x1,bottom);ctx.stroke()}ctx.globalAlpha=1}var barWidth=place=>Math.max(1,place-(place>5?2:.5));function drawListeners(ctx,app,{
tokens,rows,share,budgeted},places,mine){const width=barWidth(places.listeners);for(let t=0;t<rows;t++){const x=places.x(
t)-width/2;const part=budgeted?22*share.allocation[t]:0;ctx.fillStyle=app.theme.ink(.12);ctx.fillRect(x,TOP2-6,width,6);
ctx.fillStyle=colorOf(app,tokens.modality);ctx.fillRect(x,TOP2-6-part,width,part+(part>0?6:0));if(mine!==t)continue;pen(
ctx,app.theme.ink(1),1.5);ctx.strokeRect(x-1,TOP2-31,width+2,32)}}function drawSpeakers(ctx,app,{speakers,heard},places,bottom,theirs){
const width=barWidth(places.speakers);const loudest=Math.max(...heard,1e-12);speakers.forEach((speaker,j)=>{const x=places.
k(j)-width/2;ctx.fillStyle=app.theme.ink(.12);ctx.fillRect(x,bottom,width,6);ctx.fillStyle=colorOf(app,speaker.modality);
ctx.fillRect(x,bottom,width,4+22*(heard[j]/loudest));if(theirs!==j)return;pen(ctx,app.theme.ink(1),1.5);ctx.strokeRect(x-
1,bottom-1,width+2,30)})}function writeTexts(ctx,texts,x,step,y,focus,color){const widest=Math.max(...texts.map(text=>text.
length));if(!widest)return;const every=Math.max(1,Math.ceil((widest*6.6+6)/step));texts.forEach((text,i)=>{const inTheWay=focus>=
0&&Math.abs(i-focus)<every;if(i===focus||i%every===0&&!inTheWay)write(ctx,text,x(i),y,"center",color)})}function multiples(app,toDraw,open){const{levels,heads}=app.data.table;const modality=app.get("modality");const all=levels.
map((_,level)=>Array.from({length:heads},(_2,head)=>{const weights=app.data.weights(modality,level,head);return weights&&
toDraw(weights)}));const peak=Math.max(...all.flat().map(data=>data?.peak??0));const rows=levels.map((name,level)=>{const maps=all[level].
map((data,head)=>{if(!data)return"";const shown=level===app.get("level")&&head===app.get("head");const label=`${name}, h\
ead ${head+1}`;const map=canvasOf(pixels(app,{...data,peak}));map.className="clcr-thumbnail";return h("button",{type:"bu\
tton","aria-label":`open ${label}`,"aria-pressed":String(shown),onclick:()=>open(level,head)},map,speakersOf(app,data),h(
"span",{text:`head ${head+1}`}))});return h("div",{class:"clcr-multiple"},h("strong",{text:name}),...maps)});return{rows,
peak}}function speakersOf(app,{speakers,others}){const parts=others.map(m=>{const part=speakers.filter(s=>s.modality===m).
length/speakers.length;const color=app.theme.modality(app.data.table.modalities.indexOf(m));return h("i",{style:`width:${100*
part}%;background:${color}`})});return h("span",{class:"clcr-stack"},...parts)}var LONG=2500;var Attention=class{constructor(app){this.app=app;this.mode="auto";this.budgeted=!app.data.table.absent.includes(
"allocation");this.weighted=this.budgeted;this.asked=false;this.data=null;this.places=null;this.cell=null;this.image=new KeptImage;
this.modes=h("select",{"aria-label":"Drawn as"});const main=h("div",{class:"clcr-main"});this.el=panel(app,"attention","\
Exchange attention","attention",this.controls(),[main]);const label="Who listens to whom. Arrow keys move between listen\
ing tokens.";this.canvas=new Canvas(app,main,250,label,(ctx,width,height)=>{if(this.data)this.draw(ctx,this.data,width,height)});
this.grid=h("div",{class:"clcr-multiples",hidden:true});this.note=note("","clcr-links-note");main.append(this.grid,this.
note);this.limit(main);this.listen()}controls(){const{app}=this;const{modalities,heads}=app.data.table;const modes=[["au\
to","links or heat map"],["links","links"],["heat","heat map"],["all","all heads and levels"]].map(([value,text])=>h("op\
tion",{value,text}));const onMode=event=>{this.mode=inputValue(event);app.refresh()};const onWeighted=event=>{this.weighted=
isTicked(event);app.refresh()};const each=Array.from({length:heads},(_,i)=>[i,`head ${i+1}`]);this.modes.append(...modes);
this.modes.addEventListener("change",onMode);const weighted=h("label",{class:"clcr-control clcr-check"},h("input",{type:"\
checkbox",checked:true,onchange:onWeighted}),term(app,"weighted","weighted by allocation"));return[picker(app,"modality",
"Listener",modalities.map(m=>[m,m])),picker(app,"head","Head",[[-1,"mean of all"],...each]),h("label",{class:"clcr-contr\
ol"},h("span",{text:"Drawn as"}),this.modes),...this.budgeted?[weighted]:[]]}limit(parent){const{app}=this;const{ids=[],
pool=1}=app.data.attentions??{};const all=app.data.ids.length;if(pool>1)parent.append(note(`To fit the page, attention i\
s averaged over blocks of ${pool} × ${pool} tokens.`));if(app.data.complete||ids.length>=all)return;const text=note(`Th\
is page keeps the attention of ${counted(ids.length)} of its ${counted(all)} samples. `);const next=button("next sample \
with attention",()=>{app.pickId(ids[(ids.indexOf(app.get("picked"))+1)%ids.length])});text.append(next);parent.append(text)}listen(){
const{app}=this;const{el}=this.canvas;const over=event=>{const under=this.under(...this.canvas.at(event));app.point(under?.
token??null);this.cell=under?.cell??null;if(under)app.tip(event,this.describe(under));else app.untip();if(this.cell)this.
canvas.paint()};hovered(el,over,()=>{this.cell=null;app.leave();this.canvas.paint()});const count=()=>this.data?.rows??0;
const modality=()=>app.get("modality");walkTokens(app,el,count,modality,i=>{app.say(this.describe({token:{modality:modality(),
i}}).join(". "))})}isHeat(data){return this.mode==="heat"||this.mode==="auto"&&data.rows*data.speakers.length>LONG}under(x,y){
const{data,places}=this;if(!data||!places)return null;const modality=this.app.get("modality");const j=data.speakers.findIndex(
(_,at)=>Math.abs(places.k(at)-x)<=places.speakers/2);if(this.isHeat(data)){const t=Math.floor((y-places.top)/places.rowHeight);
return t>=0&&t<data.rows&&j>=0?{token:{modality,i:t},cell:[t,j]}:null}if(y<90){const t=Math.floor((x-places.left)/places.
listeners);return t>=0&&t<data.rows?{token:{modality,i:t}}:null}if(y<=150||j<0)return null;return{token:{modality:data.speakers[j].
modality,i:data.speakers[j].i}}}describe({token,cell}){const{data}=this;if(!data)return[];const{tokens,share,speakers,weights,
drawn}=data;const columns=speakers.length;const name=(modality,position,text)=>`${modality} ${position}${text?` (${text}\
)`:""}`;const speaker=s=>name(s.modality,s.position,s.text);const listener=t=>name(tokens.modality,tokens.positions[t],tokens.
text[t]);if(cell){const[t,j]=cell;const q=t*columns+j;return[`${listener(t)} listens to ${speaker(speakers[j])}`,`attent\
ion ${fmt(weights[q],4)}`,...data.budgeted?[`allocation α ${fmt(share.allocation[t])}, weighted ${fmt(drawn[q],4)}`]:[]]}
const{i}=token;if(token.modality!==tokens.modality){const j=speakers.findIndex(s=>s.modality===token.modality&&s.i===i);
return j<0?[]:[speaker(speakers[j]),`heard: ${fmt(data.heard[j],3)} in all (the sum of its links)`]}const most=speakers.
map((s,j)=>({s,weight:weights[i*columns+j]})).sort((p,q)=>q.weight-p.weight).slice(0,3).map(({s,weight})=>`${fmt(100*weight,
1)} % to ${speaker(s)}`);if(!data.budgeted)return[`${listener(i)} listens`,...most];const lines=[`${listener(i)} listens\
, allocation α = ${fmt(share.allocation[i])}`,...most];return share.allocation[i]>0?lines:[...lines,"not funded: nothin\
g of this reaches it"]}update(){const{app}=this;const isAll=this.mode==="all"&&app.data.table.heads>0;const here=isAll?app.
data.everyMapIsHere:app.data.attentionIsHere;const waiting=app.data.kernel&&!here;markWaiting(this.el,waiting);if(waiting&&
isAll&&!this.asked){app.model.send({levels:true});this.asked=true}if(waiting)return;this.grid.hidden=!isAll;const weights=app.
data.weights(app.get("modality"));this.data=weights&&this.drawnOf(weights);this.canvas.el.hidden=!this.data||isAll;if(!this.
data){this.grid.replaceChildren();this.note.textContent=this.whyNone();return}if(isAll)return this.showAll();this.canvas.
setHeight(this.isHeat(this.data)?clamp(this.data.rows*7,140,340)+60:250);this.canvas.show(this.data,this.mode,app.token);
this.note.textContent=this.noteOf(this.data)}showAll(){const{app}=this;const open=(level,head)=>{this.mode="heat";this.modes.
value="heat";app.set({level,head});this.modes.focus()};const{rows,peak}=multiples(app,weights=>this.toDraw(weights),open);
this.grid.replaceChildren(...rows);this.note.textContent=`Rows of a map: tokens of ${app.get("modality")}, listening; co\
lumns: those of the others, whose colours are below. One scale for all, darkest: ${fmt(peak,3)}. A click opens one.`}drawnOf(weights){
const{data}=this;const share=this.app.data.share(weights.tokens);if(data?.weights===weights.weights&&data.share===share&&
data.weighted===this.weighted)return data;return this.toDraw(weights)}toDraw(weights){const{rows,speakers}=weights;const share=this.
app.data.share(weights.tokens);const drawn=new Float32Array(weights.weights.length);const heard=new Float64Array(speakers.
length);let peak=0;for(let t=0;t<rows;t++){const times=this.weighted?share.allocation[t]:1;for(let j=0;j<speakers.length;j++){
const w=weights.weights[t*speakers.length+j]*times;drawn[t*speakers.length+j]=w;heard[j]+=w;if(w>peak)peak=w}}const others=[
...new Set(speakers.map(s=>s.modality))];return{...weights,share,others,budgeted:this.budgeted,weighted:this.weighted,drawn,
peak,heard}}whyNone(){const{data}=this.app;if(data.blockRow<0||!data.attention)return data.missingNote("attention");if(data.
table.heads===0)return"This model has no exchange, so nobody listens to anybody.";const modality=this.app.get("modality");
return`In this sample ${modality} or every other modality is missing, so there is no attention to show.`}noteOf(data){const who=data.
tokens.modality;const what=this.weighted?"attention × allocation":"attention";if(this.isHeat(data)){const darkest=fmt(data.
peak,3);return`Rows: tokens of ${who}, listening. Columns: tokens of the others. Darkest: ${darkest} (${what}).`}const{links,
all,part}=linksOf(data);const percent=fmt(100*part,0);const some=`The ${links.length} strongest of ${counted(all)} links\
 are drawn; they carry ${percent} % of the weight. `;const every=all===0?`No link: ${this.budgeted?`no token of ${who} i\
s funded`:"nothing is heard"}. `:`All ${all} links are drawn. `;return`${links.length<all?some:every}Width: ${what}. `+(this.
budgeted?"Bars above: allocation α of each listener; bars below: ":"Bars below: ")+"how much each token is heard. Point\
 at a token to follow it."}draw(ctx,data,width,height){ctx.font=this.app.theme.font(11);if(this.isHeat(data)){this.places=
heatPlaces(data,width,height);const{theme}=this.app;const image=this.image.of([data,theme.name,theme.paper],()=>pixels(this.
app,data));drawHeat(ctx,this.app,data,image,this.places,width,height,this.cell)}else{this.places=linkPlaces(data,width);
drawLinks(ctx,this.app,data,this.places,height)}}};var Caption=class{constructor(app,modality,index){this.app=app;this.index=index;this.dot=h("i",{class:"clcr-dot"});this.
funded=h("span",{class:"clcr-funded"});this.budget=h("span");this.participation=h("span");this.cutoff=h("span");this.facts=
[this.funded,h("span",{},term(app,"budget","budget B"),this.budget),h("span",{},term(app,"participation","r"),this.participation),
h("span",{class:"clcr-cut"},term(app,"cutoff","λ"),this.cutoff)];this.missing=h("span",{text:"this modality is missing \
in this sample"});this.present=false;this.el=h("div",{class:"clcr-lane-caption"},this.dot,h("strong",{text:modality}),this.
missing)}update(tokens,{allocation,budget,cutoff}){const{app}=this;const{sparse}=app.data.table;this.dot.style.background=
app.theme.modality(this.index);if(this.present!==Boolean(tokens)){this.present=Boolean(tokens);for(const el of this.present?
[this.missing]:this.facts)el.remove();this.el.append(...this.present?this.facts:[this.missing])}if(!tokens)return;const[
n,spent]=[tokens.positions.length,sum(allocation)];const unbound=sparse?" 0: the budget does not bind, every token keeps\
 its activation":" 0: this model has no budget, every token has a share of 1";this.funded.textContent=`${allocation.filter(
part=>part>0).length} of ${n} tokens funded`;this.budget.textContent=` ${fmt(budget)}, spent ${fmt(spent)}`;this.participation.
textContent=` ${fmt(spent/n)}`;this.cutoff.textContent=cutoff>0?` ${fmt(cutoff,3)}`:unbound}};var GAIN=26;var HIGHEST=46;var LEAST=22;var strips2=new WeakMap;function drawGain(ctx,{theme},gain,{left,step},top){const middle=top+
GAIN/2-1;write(ctx,"b − a",left-8,middle+4,"right",theme.ink(.65));ctx.fillStyle=theme.ink(.7);const width=Math.max(1,
step*.6);gain.forEach((v,i)=>{const height=clamp(v,-1,1)*(GAIN/2-2);ctx.fillRect(left+(i+.5)*step-width/2,middle-Math.max(
0,height),width,Math.abs(height))});pen(ctx,theme.ink(.3),1);line(ctx,[[left-4,middle],[left+gain.length*step,middle]])}
function drawFeatures(ctx,{theme},kept,features,bins,{left,step},top,height){const tokens=features.length/bins;const strip=kept.
of([features],()=>featureImage(features,tokens,bins,theme.shadesOfRamp));const smooth=ctx.imageSmoothingEnabled;ctx.imageSmoothingEnabled=
false;ctx.drawImage(strip,left,top,tokens*step,height);ctx.imageSmoothingEnabled=smooth;write(ctx,"input",left-8,top+height/
2+4,"right",theme.ink(.65))}function featureImage(features,tokens,bins,shades){const image=new ImageData(tokens,bins);let at=0;
for(let bin=0;bin<bins;bin++){for(let token=0;token<tokens;token++){for(const part of shades[features[token*bins+bin]])image.
data[at++]=part;image.data[at++]=255}}return image}var sharing=step=>Math.max(1,Math.ceil(LEAST/step));function sizeOf({
shape},step){const[,height,width]=shape;const room=sharing(step)*step-2;const times=Math.min(room/width,HIGHEST/height);
return{room,wide:width*times,high:height*times}}var pictureHeight=(images,step)=>sizeOf(images,step).high;function drawPictures(ctx,{
theme},images,{left,step},top){const[tokens,height,width]=images.shape;const{room,wide,high}=sizeOf(images,step);const strip=stripOf(
images);write(ctx,"picture",left-8,top+high/2+4,"right",theme.ink(.65));const smooth=ctx.imageSmoothingEnabled;ctx.imageSmoothingEnabled=
wide<width;for(let i=0;i<tokens;i+=sharing(step)){const x=left+i*step+1+(room-wide)/2;ctx.drawImage(strip,i*width,0,width,
height,x,top,wide,high)}ctx.imageSmoothingEnabled=smooth}function stripOf(images){const cached=strips2.get(images);if(cached)
return cached;const{shape,v}=images;const[tokens,height,width,colors]=shape;const image=new ImageData(tokens*width,height);
image.data.fill(255);for(let i=0;i<tokens;i++){for(let y=0;y<height;y++){for(let x=0;x<width;x++){const from=((i*height+
y)*width+x)*colors;const to=4*(y*tokens*width+i*width+x);for(let c=0;c<3;c++)image.data[to+c]=v[from+(colors===3?c:0)]}}}
const canvas=canvasOf(image);strips2.set(images,canvas);return canvas}var LEFT3=58;var RIGHT3=62;var TOP3=8;var HIGH=66;var BASE=TOP3+HIGH;var TRUTH=12;var STICKS=24;var WIDEST=42;var stripHeight=bins=>bins*
clamp(34/bins,1,6);var TokenLane=class{constructor(app,parent,modality,index){this.app=app;this.modality=modality;this.index=
index;this.tokens=null;this.share={budget:0,cutoff:0,allocation:[]};this.gain=null;this.picture=null;this.inputs=new KeptImage;
this.mostEvidence=1;this.highest=1;this.step=0;this.every=1;this.hasText=false;this.caption=new Caption(app,modality,index);
this.listen=app.data.table.audible.includes(modality)?h("button",{type:"button",class:"clcr-listen",onclick:()=>app.player.
toggle(modality)}):null;const head=h("div",{class:"clcr-lane-head"},this.listen,this.caption.el);this.el=h("div",{class:"\
clcr-lane","data-modality":modality},head);parent.append(this.el);const label=`Tokens of ${modality}. Arrow keys move be\
tween tokens, Enter mutes one.`;this.canvas=new Canvas(app,this.el,120,label,ctx=>{if(this.tokens)this.draw(ctx,this.tokens)});
this.listenToPointer();this.listenToKeys()}listenToPointer(){const{app,modality}=this;const{el}=this.canvas;const over=event=>{
const i=this.under(event);app.point(i<0?null:{modality,i});if(i<0)app.untip();else app.tip(event,this.describe(i))};hovered(
el,over,()=>app.leave());el.addEventListener("click",event=>this.mute(this.under(event)))}listenToKeys(){const{app,modality}=this;
const{el}=this.canvas;const count=()=>this.tokens?.positions.length??0;walkTokens(app,el,count,()=>modality,i=>{const box=el.
getBoundingClientRect();const lines=this.describe(i);app.tip({clientX:box.left+LEFT3+(i+.5)*this.step,clientY:box.top+50},
lines);app.say(lines.join(". "))});el.addEventListener("keydown",event=>{const now=app.tokenOf(modality);if(!(event.key===
"Enter"||event.key===" ")||now<0)return;this.mute(now);event.preventDefault()})}under(event){const i=Math.floor((this.canvas.
at(event)[0]-LEFT3)/this.step);return this.tokens&&this.step&&i>=0&&i<this.tokens.positions.length?i:-1}mute(i){const{app}=this;
if(i<0||!this.tokens)return;if(!app.get("live"))return app.say("Muting needs a live model: Explorer(trace, model)");const token=[
this.modality,app.get("level"),this.tokens.positions[i]];const muted=app.get("muted");const others=muted.filter(other=>other.
some((part,k)=>part!==token[k]));app.set({muted:others.length<muted.length?others:[...muted,token]})}describe(i){const{tokens,
share}=this;if(!tokens)return[];const{truth}=tokens;const cut=cutOf(tokens,share.cutoff);const v=tokens.activation[i];const text=tokens.
text[i]?`: ${tokens.text[i]}`:"";const lines=[`${this.modality}, token ${tokens.positions[i]}${text}`,`evidence e = ${fmt(
tokens.evidence[i])}${cut===null?"":`, cut ${fmt(cut)}`}`,tokens.muted[i]?"muted by you: activation set to 0":`activatio\
n v = ${fmt(v)}, cut-off λ = ${fmt(share.cutoff)}`];if(share.allocation[i]>0)lines.push(`allocation α = v − λ = ${fmt(
share.allocation[i])}`);else if(tokens.muted[i])lines.push("allocation α = 0");else lines.push(`cut off: short of λ by ${fmt(
share.cutoff-v,3)}`);if(this.gain)lines.push(`allocation b − a = ${signed(this.gain[i])}`);if(truth)lines.push(truth[i]?
"known to carry shared evidence at this level":"known distractor at this level");return lines}read(){const{data}=this.app;
this.tokens=data.tokens(this.modality,this.app.get("level"));if(this.tokens)this.share=data.share(this.tokens);const picture=data.
pictureOf(this.modality);this.picture=picture?.shape[0]===this.tokens?.positions.length?picture:null;this.gain=this.tokens&&
data.gain(this.tokens,this.share)}update(here,mostEvidence,highest){const{tokens,canvas}=this;this.mostEvidence=mostEvidence;
this.highest=highest;this.el.hidden=!here;canvas.el.hidden=!tokens;if(this.listen)this.updateListen(this.listen);this.caption.
update(tokens,this.share);if(!tokens)return;const widest=Math.max(...tokens.text.map(text=>text.length));const step=Math.
min(WIDEST,((canvas.width||700)-LEFT3-RIGHT3)/tokens.positions.length);this.hasText=widest>0;this.every=Math.max(1,Math.
ceil((widest*6.6+6)/step));const picture=this.picture?pictureHeight(this.picture,step)+3:0;const strip=(tokens.bins?stripHeight(
tokens.bins)+3:0)+picture;const gain=this.gain?GAIN:0;canvas.setHeight(BASE+6+gain+(tokens.truth?TRUTH:0)+STICKS+4+strip+
(this.hasText?16:4));canvas.show(tokens,this.share,this.gain,this.picture,mostEvidence,highest,this.app.tokenOf(this.modality))}updateListen(listen){
const{app}=this;const sound=app.data.soundOf(this.modality);const playing=app.player.playing?.modality===this.modality;const why=app.
data.kernel?"the sound is on its way":"this page does not keep the sound of this sample";listen.disabled=!sound;listen.hidden=
!this.tokens;listen.textContent=playing?"■ stop":"▶ listen";listen.title=sound?"":why;listen.setAttribute("aria-labe\
l",`${playing?"stop":"listen"}: the sound of ${this.modality}`)}draw(ctx,tokens){const{theme}=this.app;const n=tokens.positions.
length;this.step=Math.min(WIDEST,(this.canvas.width-LEFT3-RIGHT3)/n);ctx.font=theme.font(11);this.drawBars(ctx,tokens);this.
drawCutoff(ctx,n*this.step);const row={left:LEFT3,step:this.step};let below2=BASE+6;if(this.gain){drawGain(ctx,this.app,
this.gain,row,below2);below2+=GAIN}if(tokens.truth){this.drawTruth(ctx,tokens.truth,below2);below2+=TRUTH}this.drawEvidence(
ctx,tokens,below2);below2+=STICKS+4;if(tokens.features){const height=stripHeight(tokens.bins);drawFeatures(ctx,this.app,
this.inputs,tokens.features,tokens.bins,row,below2,height);below2+=height+3}if(this.picture){drawPictures(ctx,this.app,this.
picture,row,below2);below2+=pictureHeight(this.picture,this.step)+3}if(this.hasText)this.drawTexts(ctx,tokens.text,below2+
11);const pointed=this.app.tokenOf(this.modality);if(pointed>=0&&pointed<n){pen(ctx,theme.ink(1),1.5);const height=below2-
TOP3+(this.hasText?16:4);ctx.strokeRect(LEFT3+pointed*this.step,TOP3-4,this.step,height)}}drawBars(ctx,tokens){const{step}=this;
const{theme}=this.app;const{cutoff,allocation}=this.share;const gap=step>9?2:step>4?1:.4;const end=LEFT3+tokens.positions.
length*step;write(ctx,fmt(this.highest,1),LEFT3-8,TOP3+8,"right",theme.ink(.65));write(ctx,"v, α",LEFT3-8,TOP3+HIGH/2+4,
"right",theme.ink(.65));write(ctx,"0",LEFT3-8,BASE,"right",theme.ink(.65));pen(ctx,theme.ink(.14),1);line(ctx,[[LEFT3-4,
TOP3+.5],[end,TOP3+.5]]);const y=v=>BASE-clamp(v,0,this.highest)/this.highest*HIGH;const[funded,cut,color]=[theme.ink(.2),
theme.ink(.13),theme.modality(this.index)];const[width,ceiling]=[step-gap,y(cutoff)];tokens.activation.forEach((a,i)=>{const[
x,low]=[LEFT3+i*step+gap/2,y(Math.min(a,cutoff))];ctx.fillStyle=allocation[i]>0?funded:cut;ctx.fillRect(x,low,width,BASE-
low);if(allocation[i]>0){const top=y(cutoff+allocation[i]);ctx.fillStyle=color;ctx.fillRect(x,top,width,ceiling-top)}if(tokens.
muted[i])this.drawCross(ctx,x+width/2,BASE-10,Math.min(5,width/2+1))});pen(ctx,theme.ink(.5),1);line(ctx,[[LEFT3-4,BASE+
.5],[end,BASE+.5]])}drawCross(ctx,x,y,r){pen(ctx,this.app.theme.warning,2);for(const side of[1,-1]){line(ctx,[[x-r,y-side*
r],[x+r,y+side*r]])}}drawCutoff(ctx,width){const{theme}=this.app;const{cutoff}=this.share;if(!(cutoff>0))return;const y=BASE-
clamp(cutoff,0,this.highest)/this.highest*HIGH;pen(ctx,theme.warning,1.6);line(ctx,[[LEFT3-4,y],[LEFT3+width+4,y]],[6,3]);
ctx.font=theme.font(11,true);write(ctx,`λ ${fmt(cutoff)}`,LEFT3+width+8,clamp(y+4,TOP3+8,BASE),"left",theme.warning);ctx.
font=theme.font(11)}drawTruth(ctx,truth,top){const{theme}=this.app;ctx.fillStyle=theme.ink(.85);truth.forEach((carries,i)=>{
if(!carries)return;mark(ctx,"diamond",LEFT3+(i+.5)*this.step,top+3,Math.min(3,this.step/2));ctx.fill()});write(ctx,"trut\
h",LEFT3-8,top+7,"right",theme.ink(.65))}drawEvidence(ctx,tokens,top){const{step,mostEvidence}=this;const{theme}=this.app;
const cut=cutOf(tokens,this.share.cutoff);const foot=top+STICKS;const y=v=>foot-v/mostEvidence*STICKS;write(ctx,"e",LEFT3-
8,top+STICKS/2+4,"right",theme.ink(.65));ctx.fillStyle=theme.ink(.5);tokens.evidence.forEach((e,i)=>{const x=LEFT3+(i+.5)*
step-Math.min(2,step/3);ctx.fillRect(x,y(e),Math.min(4,step/1.5),foot-y(e))});if(cut===null||!(cut>0&&cut<mostEvidence))
return;pen(ctx,theme.ink(.75),1);line(ctx,[[LEFT3-4,y(cut)],[LEFT3+tokens.evidence.length*step+4,y(cut)]],[2,2])}drawTexts(ctx,texts,y){
for(let i=0;i<texts.length;i+=this.every){write(ctx,texts[i],LEFT3+(i+.5)*this.step,y,"center",this.app.theme.ink(.85))}}};var LEFT4=62;var RIGHT4=10;var HEAD=12;var ROW=14;var Participation=class{constructor(app,parent){this.app=app;const{modalities,
levels}=app.data.table;const height=(ROW*levels.length+HEAD)*modalities.length+22;const label="Participation for each mo\
dality and level: the middle 80 % and the median of all samples, and the picked sample.";this.canvas=new Canvas(app,parent,
height,label,(ctx,width)=>this.draw(ctx,width-LEFT4-RIGHT4))}update(){const{data}=this.app;this.canvas.show(data.keep(),
this.app.get("gamma"))}draw(ctx,width){const{theme,data}=this.app;const{modalities,levels}=data.table;ctx.font=theme.font(
11);let y=2;modalities.forEach((modality,index)=>{write(ctx,modality,0,y+9,"left",theme.ink(.85));y+=HEAD;levels.forEach(
(name,level)=>{write(ctx,name,LEFT4-6,y+10,"right",theme.ink(.65));this.drawLevel(ctx,modality,index,level,y,width);y+=ROW})});
const ticks=[[0,"left"],[.5,"center"],[1,"right"]];for(const[v,align]of ticks)write(ctx,String(v),LEFT4+v*width,y+12,align,
theme.ink(.65));write(ctx,"○ picked",LEFT4-6,y+12,"right",theme.ink(.65))}drawLevel(ctx,modality,index,level,y,width){
const{theme,data}=this.app;const x=v=>LEFT4+clamp(v,0,1)*width;const[low,middle,high]=data.participation(modality,level);
ctx.fillStyle=theme.ink(.08);ctx.fillRect(LEFT4,y+2,width,9);ctx.fillStyle=theme.modality(index);ctx.globalAlpha=.45;ctx.
fillRect(x(low),y+2,Math.max(1,x(high)-x(low)),9);ctx.globalAlpha=1;ctx.fillRect(x(middle)-1,y+1,2.5,11);const tokens=data.
tokens(modality,level);if(!tokens)return;const r=sum(data.share(tokens).allocation)/tokens.positions.length;mark(ctx,"ci\
rcle",x(r),y+6.5,4);ctx.fillStyle=theme.paper;ctx.fill();pen(ctx,theme.ink(1),1.8);ctx.stroke()}};function answerOf(table,answer,{row,sample,gamma,muted,waits}){const cut=(values,at2)=>{const width=values.shape[values.
shape.length-1];return values.v.subarray(at2*width,(at2+1)*width)};const traced=cut(table.prediction,row);const at=answer?
answer.ids.indexOf(sample):-1;if(!answer||at<0){const moved=Math.abs(gamma-table.gamma)>1e-9;const why=answer?"this samp\
le's other answers are not in the page":"without a model only the allocation follows γ";const asTraced=moved?`as traced\
 at γ = ${fmt(table.gamma)}; ${why}`:`at γ = ${fmt(gamma)}`;return{prediction:traced,traced,level_gate:cut(table.level_gate,
row),modality_gate:cut(table.modality_gate,row),private_gate:cut(table.private_gate,row),note:waits?"waiting for the mod\
el…":asTraced}}const{gammas}=answer;const g=nearestIndex(gammas,gamma);const exact=Math.abs(gammas[g]-gamma)<1e-9&&(!answer.
muted||JSON.stringify(answer.muted)===JSON.stringify(muted));const others=waits?"waiting for the model…":`at γ = ${fmt(
gammas[g])}, the nearest kept`;const place=at*gammas.length+g;return{place:exact?answer.place:void 0,prediction:cut(answer.
prediction,place),traced,level_gate:cut(answer.level_gate,place),modality_gate:cut(answer.modality_gate,place),private_gate:cut(
answer.private_gate,place),note:exact?`at γ = ${fmt(gamma)}${muted.length?`, ${muted.length} muted`:""}`:others}}function readings(outputs,task){
if(task==="regression")return Array.from(outputs);return task==="multilabel"?sigmoids(outputs):softmax(outputs)}var MOST=10;var Predictions=class{constructor(app){this.app=app;this.key="";this.said=note("","clcr-said");this.el=h("di\
v",{class:"clcr-predictions","aria-live":"polite"});const{task,prediction}=app.data.table;this.range=task==="regression"?
extent(prediction.v):[0,1]}update(){const{data}=this.app;const{task}=data.table;const answer=data.answer();const[now,traced]=[
readings(answer.prediction,task),readings(answer.traced,task)];const truth=data.truthOf(data.row);const isTrue=truth.size&&
task!=="regression"?", ✓ is true":"";this.said.textContent=answer.note+isTrue;const key=JSON.stringify([now,traced,[...truth]]);
if(this.key!==key)this.showRows(now,traced,truth);this.key=key}showRows(now,traced,truth){const{task,outputs}=this.app.data.
table;const isValue=task==="regression";const best=task==="classification"?now.indexOf(Math.max(...now)):-1;const likeliest=now.
map((_,i)=>i);if(now.length>MOST)likeliest.sort((a,b)=>traced[b]-traced[a]).splice(MOST);likeliest.sort((a,b)=>a-b);this.
el.replaceChildren(...likeliest.map(i=>{const name=outputs[i];return h("div",{class:`clcr-prediction${i===best?" clcr-be\
st":""}`,"data-output":name},h("span",{class:"clcr-name",title:name,text:name+(truth.has(name)?" ✓":"")}),h("span",{class:"\
clcr-bar"},h("i",{style:`width:${this.percent(now[i])}%`}),h("b",{style:`left:${this.percent(traced[i])}%`})),h("span",{
class:"clcr-number",text:isValue?fmt(now[i],3):`${fmt(100*now[i],1)} %`}))}));if(now.length>MOST)this.el.append(note(`th\
e ${MOST} likeliest of ${now.length}`));if(isValue&&truth.size)this.el.append(note(`true value ${[...truth][0]}`));this.
el.append(this.said)}percent(v){const[low,high]=this.range;return 100*clamp((v-low)/(high-low||1),0,1)}};var KEY=[["filled","allocation","allocation α"],["pale","activation","activation v"],["line","cutoff","cut-off λ"],["s\
tick","evidence","evidence e"],["dots","cut","cut"]];var GAIN2=["ink","gain","b − a"];var Budget=class{constructor(app){
this.app=app;const{data}=app;const main=h("div",{class:"clcr-main"});const side=h("div",{class:"clcr-side clcr-wide"});this.
el=panel(app,"budget","Token budget","budget",[],[main,side]);const words=data.compared?[...KEY,GAIN2]:KEY;const key=words.
map(([swatch,word,label])=>h("span",{},h("i",{class:`clcr-swatch clcr-${swatch}`}),term(app,word,label)));this.missing=note(
"","clcr-missing");main.append(h("p",{class:"clcr-key"},...key),this.missing);this.lanes=data.table.modalities.map((m,i)=>new TokenLane(
app,main,m,i));if(!data.complete){const all=data.ids.length;if(data.table.audible.length)this.limit(main,"sound",data.sounds?.
ids.length??0,all);if(data.table.pictured.length)this.limit(main,"pictures",data.pictures?.ids.length??0,all);this.limit(
main,"tokens",data.blockRows.size,all)}main.append(note(app.get("live")?"Click a token (or Enter on it) to mute it: its \
activation becomes 0 and the model runs again.":"Point at a token to read its numbers."));this.predictions=new Predictions(
app);side.append(term(app,"prediction","Prediction"),this.predictions.el);side.append(term(app,"participation","Particip\
ation r, all samples"));this.participation=new Participation(app,side)}limit(parent,what,count,all){if(count<all)parent.
append(note(`This page keeps the ${what} of ${counted(count)} of its ${counted(all)} samples.`))}update(){const{app}=this;
const here=app.data.blockRow>=0;const waiting=!here&&app.data.kernel;markWaiting(this.el,waiting);if(waiting)return;this.
missing.hidden=here;if(!here){const go=button("go to one that is",()=>app.pickId(app.data.block?.ids[0]??""));this.missing.
replaceChildren(app.data.missingNote("tokens")," ",go)}for(const lane of this.lanes)lane.read();const evidence=this.lanes.
flatMap(lane=>lane.tokens?.evidence??[]);const most=Math.max(0,...evidence)*1.05||1;const asked2=this.lanes.flatMap(lane=>lane.
tokens?.activation??[]);const highest=Math.max(1,...asked2);for(const lane of this.lanes)lane.update(here,most,highest);
this.predictions.update();this.participation.update()}};var SHAPES=["circle","square","triangle","diamond","plus"];var Colouring=class{constructor(app){this.app=app;this.reaches=
new Map;this.found=void 0}get column(){const name=this.app.get("color");if(this.found?.name!==name)this.found=this.app.data.
table.columns.find(c=>c.name===name);return this.found}of(row){const{theme,data}=this.app;const column=this.column;if(!column){
const index=data.table.modalities.indexOf(this.app.get("modality"));return{color:theme.modality(index),shape:"circle"}}const value=column.
values.v[row];if(column.kind==="category")return this.category(column,value);const[low,high]=this.reach(column);const part=Math.
round(31*clamp((value-low)/(high-low||1),0,1))/31;return{color:theme.ramp(.05+.9*part),shape:"circle"}}category(column,value){
const{theme}=this.app;const{categories,right}=theme.shades;if(value<0)return{color:theme.ink(.35),shape:"circle"};const isError=column.
name==="error"||column.name==="error b";if(isError&&value===0)return{color:right,shape:"circle"};if(isError)return{color:categories[4],
shape:SHAPES[(value+1)%SHAPES.length]};return{color:categories[value%categories.length],shape:SHAPES[value%SHAPES.length]}}reach(column){
const cached=this.reaches.get(column);if(cached)return cached;const sorted=Array.from(column.values.v).filter(Number.isFinite).
sort((a,b)=>a-b);const reach=[quantile(sorted,.01),quantile(sorted,.99)];this.reaches.set(column,reach);return reach}groups(){
const column=this.column;const{data,theme}=this.app;if(column?.kind!=="category"){const look={color:theme.ink(.6),shape:"\
circle"};return[{name:"all samples",rows:data.ids.map((_,i)=>i),look}]}const rows=column.names.map(()=>[]);Array.from(column.
values.v).forEach((v,i)=>{if(v>=0)rows[v].push(i)});return column.names.map((name,v)=>({name,rows:rows[v],look:this.category(
column,v)})).filter(group=>group.rows.length)}fillLegend(parent){const{app}=this;const key=[app.get("color"),app.theme.name,
app.get("space"),app.get("modality")].join("|");if(parent.dataset.key===key)return;parent.dataset.key=key;parent.replaceChildren(
h("span",{class:"clcr-legend-title",text:app.get("color")}));const column=this.column;if(!column)this.fillModalities(parent);else if(column.
kind==="number")this.fillRamp(parent,column);else for(const group of this.groups())parent.append(this.item(group.look,group.
name,group.rows))}item(look,label,rows){const icon=this.app.theme.sprite(look,5,2);const picture=h("img",{alt:"",src:icon.
toDataURL(),width:icon.width/2,height:icon.height/2});const text=h("span",{text:label});if(!rows)return h("span",{},picture,
text);const title=`select all ${rows.length} of ${label}`;const onclick=event=>this.app.select(rows,event.shiftKey);return h(
"button",{type:"button",title,onclick},picture,text)}fillModalities(parent){const{app}=this;const{modalities}=app.data.table;
const shared=app.get("space")==="shared";for(const m of shared?modalities:[app.get("modality")]){const i=modalities.indexOf(
m);parent.append(this.item({color:app.theme.modality(i),shape:shared?SHAPES[i%SHAPES.length]:"circle"},m))}if(!shared){parent.
append(note("all modalities together: only in the shared space, which they have in common"))}}fillRamp(parent,column){const[
low,high]=this.reach(column);const stops=[.05,.25,.5,.75,.95].map(t=>this.app.theme.ramp(t));parent.append(h("div",{class:"\
clcr-rampbar",style:`background:linear-gradient(90deg,${stops.join(",")})`}),h("div",{class:"clcr-rampends"},h("span",{text:fmt(
low)}),h("span",{text:fmt(high)})))}};var LEFT5=74;var RIGHT5=46;var HEAD2=16;var ROW2=14;function differencesOf(table,compared){const found2=[];const count=table.
ids.length;const add=(group,name,modality,a,b,at)=>{if(!b)return;const width=a.shape[1];const here=modality<0?null:table.
present[table.modalities[modality]].v;const values=Float32Array.from({length:count},(_,i)=>here&&!here[i]?Number.NaN:b.v[i*
width+at]-a.v[i*width+at]);const sorted=Array.from(values).filter(Number.isFinite).sort((p,q)=>p-q);if(!sorted.length)return;
const[low,high]=[.1,.9].map(q=>quantile(sorted,q));found2.push({group,name,modality,values,low,high,mean:sum(sorted)/sorted.
length})};table.levels.forEach((name,at)=>{add("level gate ω",name,-1,table.level_gate,compared.level_gate,at)});table.
modalities.forEach((name,at)=>{add("modality gate",name,at,table.modality_gate,compared.modality_gate,at)});table.modalities.
forEach((name,at)=>{add("private gate η",name,at,table.private_gate,compared.private_gate,at)});table.modalities.forEach(
(m,at)=>{table.levels.forEach((name,level)=>{add(`participation r, ${m}`,name,at,table.participation[m],compared.participation[m],
level)})});return found2}var Differences=class{constructor(app,parent,compared){this.app=app;this.all=differencesOf(app.
data.table,compared);this.places=[];let y=2;let group="";for(const difference of this.all){if(difference.group!==group)y+=
HEAD2;group=difference.group;this.places.push({y,difference});y+=ROW2}const label="Gates and budgets, b minus a: the mid\
dle 80 % and the mean of all samples, and the picked sample.";this.canvas=new Canvas(app,parent,y+20,label,(ctx,width,height)=>this.
draw(ctx,width,height));this.canvas.el.hidden=!this.all.length;const over=event=>{const at=this.canvas.at(event)[1];const under=this.
places.find(place=>at>=place.y&&at<place.y+ROW2);if(under)app.tip(event,this.describe(under.difference));else app.untip()};
hovered(this.canvas.el,over,()=>app.untip())}describe({group,name,values,low,high,mean}){const{data}=this.app;return[`${group}\
, ${name}: b − a`,`mean of all samples ${signed(mean,3)}`,`middle 80 %: ${signed(low,3)} to ${signed(high,3)}`,`id ${data.
picked}: ${signed(values[data.row],3)}`]}update(){this.canvas.show(this.app.data.row)}draw(ctx,width,height){const{theme,
data}=this.app;const reach=Math.max(1e-6,...this.all.map(d=>Math.max(-d.low,d.high,Math.abs(d.values[data.row]||0))));const half=(width-
LEFT5-RIGHT5)/2;const zero=LEFT5+half;const x=v=>zero+clamp(v/reach,-1,1)*(half-5);ctx.font=theme.font(11);let group="";
for(const{y,difference}of this.places){const{name,modality,values,low,high,mean}=difference;if(difference.group!==group)
write(ctx,difference.group,0,y-4,"left",theme.ink(.85));group=difference.group;write(ctx,name,LEFT5-6,y+10,"right",theme.
ink(.65));ctx.fillStyle=theme.ink(.06);ctx.fillRect(LEFT5,y+2,2*half,9);ctx.fillStyle=modality<0?theme.ink(.7):theme.modality(
modality);ctx.globalAlpha=.45;ctx.fillRect(x(low),y+2,Math.max(1,x(high)-x(low)),9);ctx.globalAlpha=1;ctx.fillRect(x(mean)-
1,y+1,2.5,11);write(ctx,signed(mean,3),width,y+10,"right",theme.ink(.85));if(!Number.isFinite(values[data.row]))continue;
mark(ctx,"circle",x(values[data.row]),y+6.5,4);ctx.fillStyle=theme.paper;ctx.fill();pen(ctx,theme.ink(1),1.8);ctx.stroke()}
pen(ctx,theme.ink(.45),1);line(ctx,[[zero,HEAD2],[zero,height-16]]);write(ctx,`−${fmt(reach)}`,LEFT5,height-5,"left",theme.
ink(.65));write(ctx,"0",zero,height-5,"center",theme.ink(.65));write(ctx,`+${fmt(reach)}`,LEFT5+2*half,height-5,"right",
theme.ink(.65));write(ctx,"○ picked",LEFT5-6,height-5,"right",theme.ink(.65));write(ctx,"mean",width,height-5,"right",
theme.ink(.65))}};var LINES=10;var NARROW=4;var Listing=class{constructor(app,label,columns){this.app=app;this.columns=columns;this.rows=[];
this.from=0;this.key="";this.body=h("tbody");const heads=["id",...columns.map(c=>c.name)].map((text,i)=>h("th",{scope:"c\
ol",title:text,text,class:i>NARROW?"clcr-roomy":null}));this.range=h("span");this.back=button("‹",()=>this.turn(-LINES));
this.on=button("›",()=>this.turn(LINES));this.back.setAttribute("aria-label",`${label}: earlier lines`);this.on.setAttribute(
"aria-label",`${label}: further lines`);this.pages=h("div",{class:"clcr-row clcr-pages"},this.back,this.range,this.on);this.
el=h("div",{class:"clcr-listing"},h("table",{"aria-label":label},h("thead",{},h("tr",{},...heads)),this.body),this.pages)}turn(by){
this.from=clamp(this.from+by,0,Math.max(0,this.rows.length-1));this.from-=this.from%LINES;this.update(this.rows)}update(rows){
const{app}=this;if(rows!==this.rows)this.from=0;this.rows=rows;const picked=app.data.row;const key=`${this.from} ${picked}\
 ${rows.length} ${rows[0]} ${rows.at(-1)}`;this.pages.hidden=rows.length<=LINES;if(key===this.key)return;this.key=key;const shown=rows.
slice(this.from,this.from+LINES);this.range.textContent=`${this.from+1} to ${this.from+shown.length} of ${counted(rows.length)}`;
this.back.disabled=this.from===0;this.on.disabled=this.from+LINES>=rows.length;const focused=this.body.contains(document.
activeElement)?document.activeElement?.textContent:null;this.body.replaceChildren(...shown.map(row=>this.line(row,row===
picked)));if(focused)this.buttons().find(b=>b.textContent===focused)?.focus()}buttons(){return Array.from(this.body.querySelectorAll(
"button"))}line(row,isPicked){const{app}=this;const id=button(app.data.ids[row],()=>app.show(app.data.ids[row]));id.setAttribute(
"aria-label",`pick id ${app.data.ids[row]}`);const cells=this.columns.map((c,i)=>{const whole=c.kind==="number"&&Number.
isInteger(c.values.v[row])&&!c.names.length;const text=whole?String(c.values.v[row]):app.data.valueOf(c,row);return h("t\
d",{title:text,text,class:i>=NARROW?"clcr-roomy":null})});return h("tr",{"aria-current":isPicked?"true":null},h("th",{scope:"\
row"},id),...cells)}};var VERDICT="a or b";var LISTED=new Set(["label","prediction","prediction b","error","error b",VERDICT]);var Comparison=class{constructor(app,compared){
this.app=app;this.compared=compared;const{table}=app.data;const{shift,changed}=compared;this.changed=app.data.ids.flatMap(
(_,i)=>changed.v[i]?[i]:[]).sort((i,j)=>shift.v[j]-shift.v[i]);const onchange=event=>app.select(isTicked(event)?this.changed:
[]);this.only=h("input",{type:"checkbox",disabled:!this.changed.length,onchange});const box=h("label",{class:"clcr-contr\
ol clcr-check"},this.only,term(app,"changed","changed only"));const main=h("div",{class:"clcr-main"});const side=h("div",
{class:"clcr-side clcr-wider"});this.el=panel(app,"comparison","Trace a against b","compare",[box],[main,side]);this.picked=
h("p",{class:"clcr-said-both","aria-live":"polite"});this.moved=note("");this.legend=h("div",{class:"clcr-legend clcr-fl\
at"});this.theme="";const columns=table.columns.filter(c=>LISTED.has(c.name)&&!(c.name.startsWith("error")&&c.names.length));
this.listing=new Listing(app,"Changed predictions",columns);const says=h("p",{class:"clcr-says",text:compared.says});main.
append(says,this.legend,this.picked,this.moved,this.listing.el);this.listing.el.hidden=!this.changed.length;if(compared.
lacks.length)main.append(note(`Not compared: ${compared.lacks.join("; ")}.`));side.append(term(app,"difference","Differe\
nces, b − a"));this.differences=new Differences(app,side,compared);if(!this.differences.all.length)side.append(note("n\
o gates or budgets that both have"))}answer(outputs){const{task,outputs:names}=this.app.data.table;const{row}=this.app.data;
const parts=readings(outputs.subarray(row*names.length,(row+1)*names.length),task);if(task==="regression")return fmt(parts[0],
3);if(task==="multilabel")return names.filter((_,i)=>parts[i]>.5).join(", ")||"none";const best=parts.indexOf(Math.max(...parts));
return`${names[best]} (${fmt(100*parts[best],0)} %)`}update(){const{app}=this;const{data}=app;const[a,b]=[data.table.prediction.
v,this.compared.prediction.v].map(v=>this.answer(v));const truth=[...data.truthOf(data.row)].join(", ");this.picked.textContent=
`id ${data.picked}: a says ${a}, b says ${b}${truth?`; the label is ${truth}`:""}.`;this.moved.textContent=this.movedNote();
this.moved.hidden=!this.moved.textContent;const selected=app.get("selection");const isAll=selected.length===this.changed.
length&&this.changed.every(i=>app.selected.has(i));this.only.checked=isAll&&selected.length>0;this.fillLegend();this.listing.
update(this.changed);this.differences.update()}movedNote(){const{app}=this;const now=app.get("gamma");const gammas=[app.
data.table.gamma,this.compared.gamma];if(gammas.every(gamma=>gamma===now)&&!app.get("muted").length)return"";const[a,b]=gammas.
map(gamma=>fmt(gamma));const at=a===b?`both are as traced, at γ = ${a}`:`each is as traced, a at γ = ${a} and b at ${b}`;
const inLanes=app.get("views").includes("budget")&&Object.keys(this.compared.participation).length;return`Here ${at}, no\
thing muted.${inLanes?` The token lanes show both at γ = ${fmt(now)}.`:""}`}fillLegend(){const{app}=this;if(this.theme===
app.theme.name)return;this.theme=app.theme.name;const column=app.data.table.columns.find(c=>c.name===VERDICT);if(!column)
return;const rows=column.names.map((_,v)=>app.data.ids.flatMap((_2,i)=>column.values.v[i]===v?[i]:[]));const items=column.
names.flatMap((name,v)=>rows[v].length?[app.colouring.item(app.colouring.category(column,v),`${name} ${rows[v].length}`,
rows[v])]:[]);this.legend.replaceChildren(...items)}};var TYPES={f4:Float32Array,f8:Float64Array,i4:Int32Array,u2:Uint16Array,u1:Uint8Array};var isPacked=value=>value.dtype!==
void 0&&value.data!==void 0;function unpack({dtype,scale,data}){const bytes=data instanceof ArrayBuffer?new Uint8Array(data):
new Uint8Array(data.buffer,data.byteOffset,data.byteLength);const raw=new TYPES[dtype](bytes.slice().buffer);return scale?
Float32Array.from(raw,x=>x*scale):raw}async function inflate(text,format){const letters=atob(text);const bytes=new Uint8Array(
letters.length);for(let i=0;i<letters.length;i++)bytes[i]=letters.charCodeAt(i);return new Response(new Blob([bytes]).stream().
pipeThrough(new DecompressionStream(format))).arrayBuffer()}function decode(value){if(Array.isArray(value))return value.
map(decode);if(!value||typeof value!=="object"||ArrayBuffer.isView(value))return value;if(isPacked(value))return{...value,
data:null,v:unpack(value)};return Object.fromEntries(Object.entries(value).map(([key,inner])=>[key,decode(inner)]))}function revive(value,blob){
if(Array.isArray(value))return value.map(inner=>revive(inner,blob));if(!value||typeof value!=="object")return value;const entries=Object.
fromEntries(Object.entries(value).map(([key,inner])=>[key,revive(inner,blob)]));if(entries.dtype&&entries.at!==void 0)entries.
data=new Uint8Array(blob,entries.at,entries.bytes);return entries}var message=value=>value?.ids?decode(value):null;var MESSAGES=["_points","_block","_attention","_sound","_picture","_ans\
wer"];var Kept=class{constructor(of){this.of=of;this.values=new Map}once(key,compute){if(!this.values.has(key))this.values.
set(key,compute());return this.values.get(key)}};var Data=class{constructor(model,driver){this.model=model;this.driver=driver;
this.kernel=driver==="kernel";this.complete=this.kernel||Boolean(model.complete);this.table=decode(model.get("_table"));
this.compared=model.get("_compared")?.says?decode(model.get("_compared")):null;this.ids=this.table.ids;this.rowOf=new Map(
this.ids.map((id,i)=>[id,i]));this.points={};this.block=null;this.blockRows=new Map;this.lackingOf=null;this.lackers=new Set;
this.attentions=null;this.sounds=null;this.pictures=null;this.answers=null;this.ranges=new Map;this.kept=new Kept([]);this.
shares=new WeakMap;this.gains=new WeakMap;for(const name of MESSAGES)this.take(name)}take(name){const value=this.model.get(
name);if(name==="_points")this.points=decode(value);else if(name==="_attention")this.attentions=message(value);else if(name===
"_sound")this.sounds=message(value);else if(name==="_picture")this.pictures=message(value);else if(name==="_answer")this.
answers=message(value);else{this.block=message(value);this.blockRows=new Map(this.block?.ids.map((id,i)=>[id,i]))}}get picked(){
return this.model.get("picked")}get row(){return this.rowOf.get(this.picked)??0}get blockRow(){return this.blockRows.get(
this.picked)??-1}pointsOf(modality,other=false){const kind=`${this.model.get("projection")}/${this.model.get("space")}`;
return this.points[kind]?.[(other?"b/":"")+this.spaceKey(modality)]}placesOf(modality,epoch,other=false){const points=this.
pointsOf(modality,other);const start=other?0:epoch*this.ids.length*2;return points&&{values:points.v,start,width:2*points.
reach}}spaceKey(modality){const space=this.model.get("space");return space.endsWith("_code")?space:`${space}/${this.model.
get("level")}/${modality}`}keep(){const of=[this.block,this.blockRow,this.model.get("muted"),this.attentions];if(of.some(
(part,i)=>part!==this.kept.of[i]))this.kept=new Kept(of);return this.kept}tokens(modality,level){if(!this.block)return null;
const{block,blockRow}=this;const mutes=this.model.get("muted");return this.keep().once(`${modality}/${level}`,()=>tokensOf(
block,blockRow,modality,level,mutes))}share(tokens){const gamma=this.model.get("gamma");const known=this.shares.get(tokens);
if(known?.gamma===gamma)return known.share;const share=shareOf(tokens,gamma,this.table.sparse);this.shares.set(tokens,{gamma,
share});return share}get lacking(){if(this.complete||!this.block)return null;if(this.lackingOf!==this.block){this.lackingOf=
this.block;this.lackers=new Set(this.ids.flatMap((id,row)=>this.blockRows.has(id)?[]:[row]))}return this.lackers.size?this.
lackers:null}gain(tokens,share){if(!this.compared)return null;const known=this.gains.get(share);if(known!==void 0)return known;
const gain=gainOf(tokens,share,this.model.get("gamma"),this.compared.sparse);this.gains.set(share,gain);return gain}get attention(){
return this.attentions?.ids.includes(this.picked)?this.attentions:null}get attentionIsHere(){const a=this.attention;return Boolean(
a?.levels.includes(this.model.get("level"))&&a.asked.includes(this.model.get("modality"))&&[null,this.model.get("head")].
includes(a.head)&&this.blockRow>=0)}get everyMapIsHere(){const a=this.attention;return this.attentionIsHere&&a?.head===null&&
a.levels.length===this.table.levels.length}weights(modality,level=this.model.get("level"),head=this.model.get("head")){const{
attention,picked}=this;if(!attention)return null;const weights=()=>weightsOf(attention,picked,modality,level,head,m=>this.
tokens(m,level));return this.keep().once(`${modality}/${level}/${head}`,weights)}soundOf(modality){const at=this.sounds?.
ids.indexOf(this.picked)??-1;if(this.model.sound)return this.model.sound(modality);return this.sounds?.of[modality]?.[at]?.
v??null}pictureOf(modality){const at=this.pictures?.ids.indexOf(this.picked)??-1;return this.pictures?.of[modality]?.[at]??
null}answer(){const{model,row}=this;const waits=model.get("live")&&(this.kernel||this.blockRow>=0);const[gamma,muted]=[model.
get("gamma"),model.get("muted")];return answerOf(this.table,this.answers,{row,sample:this.picked,gamma,muted,waits})}participation(modality,level){
const key=`${modality}/${level}`;const cached=this.ranges.get(key);if(cached)return cached;const{levels,participation,present}=this.
table;const values=this.ids.map((_,i)=>i).filter(i=>present[modality].v[i]).map(i=>participation[modality].v[i*levels.length+
level]).sort((a,b)=>a-b);const range=[.1,.5,.9].map(q=>quantile(values,q));this.ranges.set(key,range);return range}valueOf(column,row){
const v=column.values.v[row];return column.kind==="category"?column.names[v]??"unknown":column.names[row]??fmt(v)}fact(name,row){
const column=this.table.columns.find(c=>c.name===name);return column&&this.valueOf(column,row)}truthOf(row){const{columns,
task,outputs}=this.table;if(this.model.edited)return new Set;const labels=columns.filter(c=>c.name==="label"||task==="mu\
ltilabel"&&c.name.startsWith("label "));if(task!=="multilabel")return new Set(labels.map(c=>this.valueOf(c,row)).filter(
name=>name));const true_=labels.filter(c=>c.values.v[row]>0);return new Set(true_.map(c=>c.name==="label"?outputs[0]:c.name.
slice("label ".length)))}missingNote(what){return`Of id ${this.picked} this page keeps no ${what}.`}};var MOST2=14;var GateBars=class{constructor(gates,parent,gate,names){this.gates=gates;this.app=gates.app;this.gate=gate;
this.names=names;this.el=h("div",{class:"clcr-gatebars"});this.groups=[];this.picked=h("div");this.pickedKey="";parent.append(
this.el)}update(){const groups=this.gates.means(this.gate);if(this.groups!==groups)this.showGroups(groups);const now=Array.
from(this.gates.nowAndTraced(this.gate).at(-1)?.[0]??[]);const label=`id ${this.app.get("picked")}`;const key=`${label}|${now.
join()}`;if(this.pickedKey===key)return;this.pickedKey=key;const picked=this.bar(h("span",{text:label}),now);this.picked.
replaceWith(picked);this.picked=picked}showGroups(groups){this.groups=groups;this.pickedKey="";const names=this.names.map(
(name,i)=>h("span",{},h("i",{class:"clcr-dot",style:`background:${this.color(i)}`}),name));this.el.replaceChildren(h("di\
v",{class:"clcr-flat clcr-legend"},...names),this.picked,...groups.slice(0,MOST2).map(({name,rows,mean})=>{const onclick=event=>this.
app.select(rows,event.shiftKey);return this.bar(h("button",{type:"button",text:name,title:`select ${name}`,onclick}),mean)}))}color(i){
const{theme}=this.app;return this.gate==="modality_gate"?theme.modality(i):theme.level(i,this.names.length)}bar(label,values){
const texts=this.names.map((name,i)=>`${name} ${fmt(values[i])}`);const pieces=texts.map((title,i)=>h("i",{style:`width:${100*
values[i]}%;background:${this.color(i)}`,title}));const stack=h("span",{class:"clcr-stack",role:"img","aria-label":texts.
join(", ")},...pieces);return h("div",{class:"clcr-gatebar"},label,stack)}};function inside(x,y,loop){let within=false;for(let i=0,j=loop.length-1;i<loop.length;j=i++){const[xi,yi]=loop[i];const[xj,
yj]=loop[j];if(yi>y!==yj>y&&x<(xj-xi)*(y-yi)/(yj-yi)+xi)within=!within}return within}function nearest({x,y},[px,py],reach=12){
let best=-1;let least=reach*reach;for(let i=0;i<x.length;i++){const d=(x[i]-px)**2+(y[i]-py)**2;if(d<least){least=d;best=
i}}return best}function triangle(width,height){const side=Math.min(width-20,(height-44)/.866);const left=(width-side)/2;
const base=height-22;const corners=[[left,base],[left+side,base],[left+side/2,base-side*.866]];return corners}function barycentric(values,i,corners){
const along=axis=>values[3*i]*corners[0][axis]+values[3*i+1]*corners[1][axis]+values[3*i+2]*corners[2][axis];return[along(
0),along(1)]}function enlarge(x,y,size,margin){const ends=[extent(x),extent(y)];const times=clamp(Math.min(...ends.map(([
low,high],axis)=>(size[axis]-margin)/(high-low||.001))),1,1e3);const move=(v,axis)=>size[axis]/2+(v-(ends[axis][0]+ends[axis][1])/
2)*times;return([px,py])=>[move(px,0),move(py,1)]}function paintPicked(ctx,theme,x,y,ghost){if(ghost){pen(ctx,theme.ink(.5),1.2);return ring(ctx,x,y,4)}pen(ctx,theme.paper,
4.5);ring(ctx,x,y,8);pen(ctx,theme.ink(1),2.2);ring(ctx,x,y,8);for(const[dx,dy]of[[1,0],[-1,0],[0,1],[0,-1]]){line(ctx,[
[x+dx*8,y+dy*8],[x+dx*13,y+dy*13]])}}function paintLoop(ctx,theme,loop){ctx.fillStyle=theme.ink(.08);ctx.strokeStyle=theme.
ink(.8);line(ctx,[...loop,loop[0]],[4,3]);ctx.fill()}var stamps=new WeakMap;function stampOf(sprite){const cached=stamps.get(sprite);if(cached)return cached;const made=stampFrom(
contextOf(sprite).getImageData(0,0,sprite.width,sprite.height));stamps.set(sprite,made);return made}function stampFrom({
data,width,height}){const full=Array.from({length:width*height},(_,i)=>i).filter(i=>data[4*i+3]>8);return{dx:Int16Array.
from(full,i=>i%width-(width>>1)),dy:Int16Array.from(full,i=>Math.floor(i/width)-(height>>1)),color:Uint8ClampedArray.from(
full.flatMap(i=>[0,1,2].map(c=>data[4*i+c]))),opacity:Float32Array.from(full,i=>data[4*i+3]/255)}}function splat({data,width,
height},{dx,dy,color,opacity},x,y,strength){const left=Math.floor(x);const top=Math.floor(y);if(left<-20||top<-20||left>
width+20||top>height+20)return;for(let p=0;p<dx.length;p++){const px=left+dx[p];const py=top+dy[p];if(px<0||py<0||px>=width||
py>=height)continue;const at=4*(py*width+px);const over=opacity[p]*strength;const there=data[at+3];const all=there===0?over:
over+there/255*(1-over);const part=there===0?1:over/all;data[at]+=(color[3*p]-data[at])*part;data[at+1]+=(color[3*p+1]-data[at+
1])*part;data[at+2]+=(color[3*p+2]-data[at+2])*part;data[at+3]=255*all}}var MOST3=400;var STEP=1.5;var Viewport=class{constructor(){this.times=1;this.middle=[.5,.5];this.size=[1,1]}get shift(){
const along=axis=>this.size[axis]*(.5-this.middle[axis]*this.times);return[along(0),along(1)]}get key(){return[this.times,
...this.middle].join()}see([x,y]){const{shift,times}=this;return[x*times+shift[0],y*times+shift[1]]}zoom(factor,at){const{
shift}=this;const times=clamp(this.times*factor,1,MOST3);const by=times/this.times;this.times=times;this.put([at[0]+(shift[0]-
at[0])*by,at[1]+(shift[1]-at[1])*by])}pan(by){const{shift}=this;this.put([shift[0]+by[0],shift[1]+by[1]])}put(shift){const part=axis=>(.5-
shift[axis]/this.size[axis])/this.times;this.show([this.times,part(0),part(1)])}get told(){return[this.times,...this.middle]}show([
times,x,y]){this.times=clamp(times,1,MOST3);const half=.5/this.times;this.middle=[clamp(x,half,1-half),clamp(y,half,1-half)]}reset(){
this.show([1,.5,.5])}};var TRAVEL=320;var MANY=4e3;var VERY_MANY=3e4;var REST=120;var Cloud=class{constructor(app,parent,height,label,source){this.
app=app;this.source=source;this.canvas=new Canvas(app,parent,height,label,(ctx,w,hh)=>this.draw(ctx,w,hh));this.base=document.
createElement("canvas");this.drawnKey="";this.placeKey="";this.size="";this.hover=-1;this.radius=0;this.points={x:new Float32Array,
y:new Float32Array,sample:new Int32Array};this.all=this.points;this.lookKey="";this.looks={of:new Uint16Array,marks:[]};
this.frame=0;this.drawn={rest:"",times:1,shift:[0,0]};this.turnsUntil=0;this.turned=0;this.target=null;this.moving=null;
this.start=null;this.loop=null;this.view=new Viewport;this.grip=null;const{el}=this.canvas;el.classList.add("clcr-cloud");
el.addEventListener("pointerdown",event=>this.down(event));el.addEventListener("pointermove",event=>this.move(event));el.
addEventListener("pointerup",event=>this.up(event));el.addEventListener("pointercancel",()=>this.drop());el.addEventListener(
"pointerleave",()=>{this.hover=-1;app.untip();this.canvas.paint()});el.addEventListener("keydown",event=>this.viewKeys(event)||
app.stepKeys(event));if(source.zooms)el.addEventListener("wheel",event=>this.wheel(event),{passive:false})}update(){const{
app,canvas,source,view}=this;if(source.heightAt)canvas.setHeight(source.heightAt(canvas.width));const marks=source.marks?.(
canvas.width,canvas.height)??this.picked();const parts=[source.key(),view.key,app.get("color"),app.selected,marks.join(),
...source.overlay?.()??[]];canvas.show(...parts)}draw(ctx,w,hh){const{app}=this;const placeKey=this.source.key();const{scale}=this.
canvas;const{view}=this;view.size=[w,hh];const rest=[placeKey,w,hh,scale,app.theme.name,app.get("color"),app.dimmingKey].
join("|");const key=`${rest}|${view.key}`;const turning=performance.now()<this.turnsUntil&&rest===this.drawn.rest&&this.
all.x.length>VERY_MANY;if(turning)this.points=this.seenPoints(this.all);else if(key!==this.drawnKey){const size=`${w}x${hh}`;
const before=this.target;if(this.placeKey!==placeKey||this.size!==size)this.all=this.source.place(w,hh);const target=this.
seenPoints(this.all);if(this.placeKey===placeKey)this.moving=null;const moved=this.source.animate&&before&&target.x.length<=
VERY_MANY&&before.x.length===target.x.length&&this.size===size&&this.placeKey!==placeKey;Object.assign(this,{target,size,
placeKey,drawnKey:key});if(moved&&!matchMedia("(prefers-reduced-motion: reduce)").matches)this.travel(before,target);else if(!this.
moving)this.points=target;this.paintBase(w,hh);this.drawn={rest,times:view.times,shift:view.shift}}const by=turning?view.
times/this.drawn.times:1;const[left,top]=turning?view.shift.map((to,axis)=>to-this.drawn.shift[axis]*by):[0,0];ctx.drawImage(
this.base,left,top,w*by,hh*by);this.source.above?.(ctx,w,hh);this.paintMarks(ctx,w,hh);if(this.loop)paintLoop(ctx,app.theme,
this.loop)}travel(before,target){const from={x:before.x.slice(),y:before.y.slice()};const started=performance.now();this.
moving=target;const step=()=>{if(this.moving!==target||!this.canvas.el.isConnected)return;const part=Math.min(1,(performance.
now()-started)/TRAVEL);const ease=1-(1-part)**3;if(part>=1){this.points=target;this.moving=null}else{const x=target.x.map(
(v,i)=>from.x[i]+(v-from.x[i])*ease);const y=target.y.map((v,i)=>from.y[i]+(v-from.y[i])*ease);this.points={...target,x,
y}}this.paintBase(this.canvas.width,this.canvas.height);this.canvas.paint();if(part<1)requestAnimationFrame(step)};this.
points={...target,...from};requestAnimationFrame(step)}paintBase(w,hh){const{app,base}=this;const{scale}=this.canvas;const ctx=contextOf(
base,{willReadFrequently:true});base.width=Math.round(w*scale);base.height=Math.round(hh*scale);ctx.setTransform(scale,0,
0,scale,0,0);this.source.frame(ctx,w,hh);const{x,y,sample}=this.points;const n=x.length;const r=n>VERY_MANY?1.6:n>MANY?2.3:
n>900?3.1:n>200?3.8:4.6;this.radius=r;const some=app.selected.size>1;const{lacking}=app.data;const looks=this.marksOf(r);
const picture=n>MANY?ctx.getImageData(0,0,base.width,base.height):null;const stamps2=picture?looks.marks.map(stampOf):[];
for(const chosen of some?[false,true]:[true]){const strength=chosen?n>900?.78:.88:.14;for(let i=0;i<n;i++){if(some&&app.
selected.has(sample[i])!==chosen)continue;const opacity=lacking?.has(sample[i])?.4*strength:strength;if(picture){splat(picture,
stamps2[looks.of[i]],x[i]*scale,y[i]*scale,opacity);continue}ctx.globalAlpha=opacity;const sprite=looks.marks[looks.of[i]];
const[width,height]=[sprite.width/scale,sprite.height/scale];ctx.drawImage(sprite,x[i]-width/2,y[i]-height/2,width,height)}}
ctx.globalAlpha=1;if(!picture)return;ctx.putImageData(picture,0,0)}seenPoints(all){const{times,shift}=this.view;return{...all,
x:all.x.map(v=>v*times+shift[0]),y:all.y.map(v=>v*times+shift[1])}}marksOf(r){const{app,points,source}=this;const{sample,
layer}=points;const{scale}=this.canvas;const key=[this.placeKey,sample.length,app.get("color"),app.get("modality"),app.theme.
name,r,scale].join("|");if(key===this.lookKey&&this.looks.of.length===sample.length)return this.looks;const numbers={};const marks=[];
const of=new Uint16Array(sample.length);for(let i=0;i<sample.length;i++){const look=source.look?.(sample[i],layer?layer[i]:
0)??app.colouring.of(sample[i]);numbers[look.color]??={};const shapes=numbers[look.color];if(shapes[look.shape]===void 0)
shapes[look.shape]=marks.push(app.theme.sprite(look,r,scale))-1;of[i]=shapes[look.shape]}this.lookKey=key;this.looks={of,
marks};return this.looks}paintMarks(ctx,w,hh){const{app}=this;const{x,y,sample}=this.points;pen(ctx,app.theme.ink(.75),1);
let rings=0;if(app.selected.size&&app.selected.size<=300){for(let i=0;i<x.length&&rings<900;i++){if(!app.selected.has(sample[i]))
continue;ring(ctx,x[i],y[i],this.radius+1.2);rings++}}for(const[mx,my,ghost]of this.source.marks?.(w,hh)??this.picked())
paintPicked(ctx,app.theme,mx,my,ghost);if(this.hover>=0&&this.hover<x.length){pen(ctx,app.theme.ink(1),1.5);ring(ctx,x[this.
hover],y[this.hover],this.radius+3)}}picked(){const{x,y,sample}=this.points;const{row}=this.app.data;const found2=[];for(let i=0;i<
sample.length;i++)if(sample[i]===row)found2.push([x[i],y[i],false]);return found2}zoom(factor,at=[this.canvas.width/2,this.
canvas.height/2]){this.view.zoom(factor,at);this.seen()}pan(by){this.view.pan(by);this.seen()}whole(){this.view.reset();
this.seen()}seen(){this.hover=-1;this.app.untip();const paint=()=>this.canvas.el.isConnected&&this.canvas.paint();this.frame||=
requestAnimationFrame(()=>{this.frame=0;paint()});if(this.all.x.length<=VERY_MANY)return;this.turnsUntil=performance.now()+
REST;clearTimeout(this.turned);this.turned=setTimeout(paint,REST+10)}wheel(event){if(!event.ctrlKey&&!event.metaKey)return;
event.preventDefault();const pixels2=event.deltaY*(event.deltaMode?33:1);this.zoom(2**(-clamp(pixels2,-300,300)/200),this.
canvas.at(event))}viewKeys(event){if(!this.source.zooms||event.ctrlKey||event.metaKey||event.altKey)return false;const ways={
ArrowLeft:[60,0],ArrowRight:[-60,0],ArrowUp:[0,60],ArrowDown:[0,-60]};if(event.key==="+"||event.key==="=")this.zoom(STEP);else if(event.
key==="-")this.zoom(1/STEP);else if(event.key==="0")this.whole();else if(event.shiftKey&&ways[event.key])this.pan(ways[event.
key]);else return false;event.preventDefault();return true}down(event){if(this.source.zooms&&(event.button===1||!event.button&&
event.altKey)){event.preventDefault();this.grip=this.canvas.at(event);this.canvas.el.setPointerCapture(event.pointerId);
return}if(event.button)return;this.start=this.canvas.at(event);this.canvas.el.setPointerCapture(event.pointerId)}move(event){
const{app}=this;const at=this.canvas.at(event);if(this.grip){this.pan([at[0]-this.grip[0],at[1]-this.grip[1]]);this.grip=
at;return}if(this.start){if(!this.loop&&Math.hypot(at[0]-this.start[0],at[1]-this.start[1])>5)this.loop=[this.start];if(!this.
loop)return;this.loop.push(at);app.untip();return this.canvas.paint()}const under=nearest(this.points,at);if(under!==this.
hover){this.hover=under;this.canvas.paint()}if(under<0)app.untip();else app.tip(event,app.describe(this.points.sample[under],
this.points.layer?.[under]))}drop(){this.grip=null;this.start=null;this.loop=null;this.canvas.paint()}up(event){this.grip=
null;if(!this.start)return;const{app,points,loop}=this;this.drop();if(loop){const within=points.sample.filter((_,i)=>inside(
points.x[i],points.y[i],loop));app.select([...new Set(within)],event.shiftKey)}else{const under=nearest(points,this.canvas.
at(event));if(under>=0)app.select([points.sample[under]],event.shiftKey||event.ctrlKey||event.metaKey);else if(!event.shiftKey)
app.select([])}}};var LEFT6=88;var RIGHT6=16;var ROW3=42;var xOf=(gate,width)=>LEFT6+clamp(gate,0,1)*(width-LEFT6-RIGHT6);var PrivateGates=class{constructor(gates,parent){
this.app=gates.app;const{modalities}=this.app.data.table;const label="Private gates of all samples, one row for each mod\
ality.";this.cloud=new Cloud(this.app,parent,ROW3*modalities.length+22,label,{key:()=>"private",place:width=>this.place(
width),frame:(ctx,width,height)=>this.frame(ctx,width,height),marks:width=>gates.nowAndTraced("private_gate").flatMap(([
values,ghost])=>modalities.map((_,m)=>[xOf(values[m],width),21+ROW3*m,ghost]))})}update(){this.cloud.update()}place(width){
const{ids,table}=this.app.data;const{modalities,private_gate,present}=table;const most=ids.length*modalities.length;const[
x,y]=[new Float32Array(most),new Float32Array(most)];const[sample,layer]=[new Int32Array(most),new Uint8Array(most)];let n=0;
modalities.forEach((modality,m)=>{const there=present[modality].v;for(let i=0;i<ids.length;i++){if(!there[i])continue;x[n]=
xOf(private_gate.v[i*modalities.length+m],width);y[n]=21+ROW3*m+(scattered(i)-.5)*32;sample[n]=i;layer[n]=m;n++}});return{
x:x.subarray(0,n),y:y.subarray(0,n),sample:sample.subarray(0,n),layer:layer.subarray(0,n)}}frame(ctx,width,height){const{
theme,data}=this.app;ctx.font=theme.font(11);data.table.modalities.forEach((name,m)=>{ctx.fillStyle=theme.ink(.05);ctx.fillRect(
xOf(0,width),2+ROW3*m,xOf(1,width)-xOf(0,width),38);write(ctx,name,70,25+ROW3*m,"right",theme.ink(.85))});for(const v of[
0,.5,1])write(ctx,String(v),xOf(v,width),height-6,"center",theme.ink(.65))}};var GateTriangle=class{constructor(gates,parent,gate,title,names){this.gates=gates;this.app=gates.app;this.gate=gate;this.
names=names;this.values=this.app.data.table[gate].v;const corners=names.join(", ");const label=`${title}: each sample is\
 a point between ${corners}; the nearer a corner, the more it counts.`;this.cloud=new Cloud(this.app,parent,236,label,{key:()=>`${gate}${gates.
zoom?" zoomed":""}`,place:(width,height)=>this.place(this.corners(width,height)),frame:(ctx,width,height)=>this.frame(ctx,
width,height),above:(ctx,width,height)=>this.drawMeans(ctx,this.corners(width,height)),overlay:()=>[gates.means(gate)],marks:(width,height)=>{
const corners2=this.corners(width,height);return gates.nowAndTraced(gate).map(([values,ghost])=>[...barycentric(values,0,
corners2),ghost])},heightAt:width=>Math.round(clamp((width-20)*.866+46,150,320))})}update(){this.cloud.update()}corners(width,height){
const corners=triangle(width,height);if(!this.gates.zoom)return corners;const{x,y}=this.place(corners);return corners.map(
enlarge(x,y,[width,height],50))}place(corners){const{values}=this;const n=this.app.data.ids.length;const points={x:new Float32Array(
n),y:new Float32Array(n),sample:new Int32Array(n)};const[[ax,ay],[bx,by],[cx,cy]]=corners;for(let i=0;i<n;i++){const[a,b,
c]=[values[3*i],values[3*i+1],values[3*i+2]];points.x[i]=a*ax+b*bx+c*cx;points.y[i]=a*ay+b*by+c*cy;points.sample[i]=i}return points}frame(ctx,width,height){
const{theme}=this.app;const corners=this.corners(width,height);const[a,b,c]=corners;pen(ctx,theme.ink(.45),1);line(ctx,[
a,b,c,a]);pen(ctx,theme.ink(.13),1);for(const q of[.25,.5,.75]){for(const gate of[0,1,2])this.drawLevelLine(ctx,q,gate,corners)}
ctx.font=theme.font(11,true);const below2=Math.min(height-6,a[1]+16);const ink=theme.ink(.85);write(ctx,this.names[0],Math.
max(0,a[0]-10),below2,"left",ink);write(ctx,this.names[1],Math.min(width,b[0]+10),below2,"right",ink);write(ctx,this.names[2],
clamp(c[0],30,width-30),Math.max(12,c[1]-8),"center",ink);if(!this.gates.zoom)return;const[left,right]=triangle(width,height);
const times=(b[0]-a[0])/(right[0]-left[0]);ctx.font=theme.font(11);write(ctx,`× ${fmt(times,times<10?1:0)}`,0,12,"left",
theme.ink(.65))}drawLevelLine(ctx,q,gate,corners){const from=[0,0,0];const to=[0,0,0];from[gate]=to[gate]=q;from[(gate+1)%
3]=1-q;to[(gate+2)%3]=1-q;line(ctx,[barycentric(from,0,corners),barycentric(to,0,corners)])}drawMeans(ctx,corners){const{
theme}=this.app;for(const{mean,look}of this.gates.means(this.gate)){const[x,y]=barycentric(mean,0,corners);mark(ctx,look.
shape,x,y,6.5);pen(ctx,theme.paper,3);ctx.stroke();ctx.fillStyle=look.color;ctx.fill();pen(ctx,theme.ink(.9),1.2);ctx.stroke()}}};var Gates=class{constructor(app){this.app=app;this.zoom=false;this.groups=new Map;const{table}=app.data;const alone=!app.
get("views").includes("subspaces");const zoom=tickBox(app,"zoom","zoom in",on=>{this.zoom=on});const colors=table.columns.
map(c=>[c.name,c.name]);const controls=alone?[picker(app,"color","Group by",colors),zoom]:[zoom];const main=h("div",{class:"\
clcr-main"});this.el=panel(app,"gates","Gates","levelgate",controls,[main]);const pair=h("div",{class:"clcr-pair"});main.
append(pair);this.parts=[this.part(pair,"level_gate","levelgate","Level gate ω",table.levels),this.part(pair,"modality_\
gate","modalitygate","Modality gate",table.modalities)];main.append(term(app,"privategate","Private gate η"));this.parts.
push(new PrivateGates(this,main));this.legend=alone?h("div",{class:"clcr-legend clcr-flat"}):null;if(this.legend)main.append(
this.legend)}part(parent,gate,explain,title,names){const box=h("div",{class:"clcr-gate","data-gate":gate},term(this.app,
explain,title));parent.append(box);return names.length===3?new GateTriangle(this,box,gate,title,names):new GateBars(this,
box,gate,names)}nowAndTraced(gate){const{data}=this.app;const now=data.answer()[gate];const traced=data.table[gate].v.subarray(
data.row*now.length,(data.row+1)*now.length);const moved=Array.from(now).some((v,i)=>Math.abs(v-traced[i])>.001);return moved?
[[traced,true],[now,false]]:[[now,false]]}means(gate){const{app}=this;const key=`${app.get("color")}|${app.theme.name}`;
const cached=this.groups.get(gate);if(cached?.key===key)return cached.groups;const{v,shape}=app.data.table[gate];const k=shape[1];
const groups=app.colouring.groups().map(group=>{const mean=Array.from({length:k},(_,j)=>sum(group.rows.map(i=>v[i*k+j]))/
group.rows.length);return{...group,mean}});this.groups.set(gate,{key,groups});return groups}update(){for(const part of this.
parts)part.update();if(this.legend)this.app.colouring.fillLegend(this.legend)}};var quoted=text=>/[",\r\n]/.test(text)?`"${text.replaceAll('"','""')}"`:text;function cellOf({kind,names,values},row){const v=values.
v[row];if(kind==="category")return names[v]??"";if(names[row])return names[row];return String(values.v instanceof Float32Array&&
!Number.isInteger(v)?Number(v.toPrecision(7)):v)}function csvOf(ids,columns,rows){const lines=[["id",...columns.map(c=>c.
name)],...rows.map(i=>[ids[i],...columns.map(c=>cellOf(c,i))])];return lines.map(line2=>`${line2.map(quoted).join(",")}\r\

`).join("")}var QUANTILES=4;function slicesOf(column,rows){const{v}=column.values;if(column.kind==="category"){const found2=new Map;
for(const i of rows){const group=found2.get(v[i]);if(group)group.push(i);else found2.set(v[i],[i])}return[...found2].sort(
([a],[b])=>a-b).map(([value,rows2])=>({name:column.names[value]??"unknown",rows:rows2}))}const sorted=rows.map(i=>v[i]).
filter(Number.isFinite).sort((a,b)=>a-b);const cuts=Array.from({length:QUANTILES+1},(_,k)=>quantile(sorted,k/QUANTILES));
const parts=cuts.slice(1).map((high,k)=>{const low=cuts[k];const last=k===QUANTILES-1;return{name:`${fmt(low)} to ${last?
"":"below "}${fmt(high)}`,rows:rows.filter(i=>v[i]>=low&&(v[i]<high||last&&v[i]===high))}});return parts.filter(part=>part.
rows.length)}var metricOf=({task})=>task==="regression"?"mean error":"accuracy";function score({task,outputs},error,rows){
const total=rows.reduce((all,i)=>all+error.values.v[i],0);const n=rows.length;if(task==="regression")return{value:total/
n};if(task==="multilabel")return{value:1-total/n/outputs.length};return{value:1-total/n,ends:wilson(n-total,n)}}function wilson(hits,n){
const z=1.959964;const share=hits/n;const middle=(share+z*z/(2*n))/(1+z*z/n);const half=z/(1+z*z/n)*Math.sqrt(share*(1-share)/
n+z*z/(4*n*n));return[Math.max(0,middle-half),Math.min(1,middle+half)]}var MOST4=30;var SamplesTable=class{constructor(app){this.app=app;const{columns}=app.data.table;this.filled=null;this.title=
h("span");this.rows=[];this.of=null;const options=columns.map(c=>h("option",{value:c.name,text:c.name}));this.by=columns[0];
const onchange=event=>{const name=inputValue(event);this.by=columns.find(c=>c.name===name)??this.by;this.update()};const slice=h(
"select",{"aria-label":"Slice by",onchange},...options);this.slices=h("div",{class:"clcr-listing clcr-slices"});this.listing=
new Listing(app,"Samples",columns);const download=button("download CSV",()=>this.download());download.setAttribute("aria\
-label","download CSV");const controls=h("div",{class:"clcr-controls"},h("label",{class:"clcr-control"},h("span",{text:"\
Slice by"}),slice),download);this.body=h("div",{hidden:true},controls,this.slices,this.listing.el);const head=h("summary",
{},this.title);this.el=h("details",{class:"clcr-drawer",ontoggle:()=>this.update()},head,this.body)}update(){const{app}=this;
const selection=app.get("selection");if(this.of!==selection){this.of=selection;this.rows=selection.length?[...app.selected].
filter(i=>i>=0):app.data.ids.map((_,i)=>i)}const all=counted(app.data.ids.length);const some=selection.length?`the ${counted(
this.rows.length)} selected of ${all}`:`all ${all}`;this.title.textContent=`Samples as a table: ${some}`;this.body.hidden=
!this.el.open;if(!this.el.open)return;this.listing.update(this.rows);this.fill()}fill(){const{app,rows,by}=this;const{table}=app.
data;if(this.filled?.[0]===rows&&this.filled[1]===by)return;this.filled=[rows,by];const errors=["error","error b"].flatMap(
name=>table.columns.find(c=>c.name===name)??[]);const slices=[{name:"all of these",rows},...slicesOf(by,rows)];const metric=metricOf(
table);const heads=errors.map((_,i)=>errors.length>1?`${metric} ${"ab"[i]}`:metric);const lines=slices.slice(0,MOST4).map(
slice=>{const onclick=event=>app.select(slice.rows,event.shiftKey);const name=h("button",{type:"button",text:slice.name,
title:`select ${slice.name}`,onclick});const cells=errors.map(error=>h("td",{text:this.says(error,slice.rows)}));return h(
"tr",{},h("th",{scope:"row"},name),h("td",{text:counted(slice.rows.length)}),...cells)});const titles=[by.name,"samples",
...heads].map(text=>h("th",{scope:"col",text}));const focused=this.slices.contains(document.activeElement)?document.activeElement?.
textContent:null;this.slices.replaceChildren(h("table",{"aria-label":"Slices"},h("thead",{},h("tr",{},...titles)),h("tbo\
dy",{},...lines)),note([errors.length?"":"Without labels nothing is right or wrong.",table.task==="classification"&&errors.
length?"In brackets: Wilson's 95 % interval.":"",slices.length>MOST4?`${slices.length-MOST4} more slices are not shown.`:
""].join(" ")));const again=Array.from(this.slices.querySelectorAll("button")).find(b=>b.textContent===focused);if(focused)
again?.focus()}says(error,rows){const{value,ends}=score(this.app.data.table,error,rows);return ends?`${fmt(value)} (${fmt(
ends[0])} to ${fmt(ends[1])})`:fmt(value,3)}download(){const{ids,table}=this.app.data;const text=`\uFEFF${csvOf(ids,table.
columns,this.rows)}`;const href=URL.createObjectURL(new Blob([text],{type:"text/csv;charset=utf-8"}));h("a",{href,download:"\
samples.csv"}).click();setTimeout(()=>URL.revokeObjectURL(href),1e4);this.app.say(`${this.rows.length} samples written t\
o samples.csv`)}};var Player=class{constructor(app){this.app=app;this.playing=null}toggle(modality){const again=this.playing?.modality===modality;
this.stop();const file=this.app.data.soundOf(modality);if(again||!file)return;const link=URL.createObjectURL(new Blob([file],
{type:"audio/wav"}));const audio=new Audio(link);const playing={modality,sample:this.app.get("picked"),audio,link};this.
playing=playing;const over=()=>{if(this.playing===playing)this.stop()};audio.addEventListener("ended",over);audio.play().
catch(error=>{over();if(error.name!=="AbortError")this.app.say(`the sound cannot be played: ${error.message}`)});this.app.
refresh()}stop(){if(!this.playing)return;this.playing.audio.pause();URL.revokeObjectURL(this.playing.link);this.playing=
null;this.app.refresh()}update(){if(this.playing&&this.playing.sample!==this.app.get("picked"))this.stop()}};var CELL=6;var PASSES=3;var MARGIN=PASSES;var CROWDED=4e3;var SHARES=[.25,.5,.75,.95];function densityOf({x,y},width,height){
const columns=Math.ceil(width/CELL)+2*MARGIN;const rows=Math.ceil(height/CELL)+2*MARGIN;const counts=new Float32Array(columns*
rows);let values=counts;for(let i=0;i<x.length;i++){if(!(x[i]>=0&&y[i]>=0&&x[i]<width&&y[i]<height))continue;counts[(MARGIN+
Math.floor(y[i]/CELL))*columns+MARGIN+Math.floor(x[i]/CELL)]++}for(let pass=0;pass<PASSES;pass++){for(const step of[1,columns]){
const from=values;values=from.map((v,i)=>(v+(from[i-step]??0)+(from[i+step]??0))/3)}}return{columns,rows,counts,values}}
function levelsOf({counts,values},shares){const full=Array.from(counts,(_,i)=>i).filter(i=>counts[i]);full.sort((a,b)=>values[b]-
values[a]);const total=full.reduce((all,i)=>all+counts[i],0);let[held,at]=[0,-1];return shares.map(share=>{while(at+1<full.
length&&held<share*total)held+=counts[full[++at]];return values[full[at]]??0})}function contour({columns,rows,values},level){
const pieces=[];const middle=(column,row)=>[(column-MARGIN+.5)*CELL,(row-MARGIN+.5)*CELL];for(let row=0;row+1<rows;row++){
for(let column=0;column+1<columns;column++){const at=row*columns+column;const corners=[values[at],values[at+1],values[at+
columns+1],values[at+columns]];const above=corners.map(v=>v>=level);if(above.every(is=>is===above[0]))continue;const places=[
middle(column,row),middle(column+1,row),middle(column+1,row+1),middle(column,row+1)];const crossed=[];for(let side=0;side<
4;side++){const next=(side+1)%4;if(above[side]===above[next])continue;const part=(level-corners[side])/(corners[next]-corners[side]);
const[a,b]=[places[side],places[next]];crossed.push([a[0]+part*(b[0]-a[0]),a[1]+part*(b[1]-a[1])])}for(let i=0;i+1<crossed.
length;i+=2)pieces.push([crossed[i],crossed[i+1]])}}return pieces}var Density=class{constructor(){this.of=null;this.lines=
[]}draw(ctx,theme,points,size){if(this.of!==points){const grid=densityOf(points,...size);this.of=points;this.lines=levelsOf(
grid,SHARES).map(level=>contour(grid,level))}for(const[color,width]of[[theme.paper,3],[theme.ink(.85),1.2]]){pen(ctx,color,
width);ctx.beginPath();for(const[from,to]of this.lines.flat()){ctx.moveTo(...from);ctx.lineTo(...to)}ctx.stroke()}}};var STEP2=600;var Epochs=class{constructor(app){this.app=app;this.last=app.data.table.epochs-1;this.timer=0;this.slider=
h("input",{type:"range",min:0,max:this.last,step:1,value:app.get("epoch"),"aria-label":"Training epoch",oninput:event=>app.
set({epoch:Number(inputValue(event))})});this.name=h("output");this.play=button("▶ play",()=>this.timer?this.stop():this.
start());this.el=h("div",{class:"clcr-row"},this.play,this.slider,this.name);app.cleanups.push(()=>clearInterval(this.timer))}start(){
const{app}=this;this.play.textContent="■ stop";app.set({epoch:0});this.timer=setInterval(()=>{const epoch=app.get("epo\
ch");if(epoch>=this.last)this.stop();else app.set({epoch:epoch+1})},STEP2)}stop(){clearInterval(this.timer);this.timer=0;
this.play.textContent="▶ play"}update(){const epoch=this.app.get("epoch");this.slider.value=String(epoch);this.name.textContent=
epoch===this.last?"last":`epoch ${epoch+1} of ${this.last}`}};var COUNT=8;function nearestRows(values,start,[x,y],samples,counts,count=COUNT){const found2=[];for(let row=0;row<samples;row++){
const distance=Math.hypot(values[start+2*row]-x,values[start+2*row+1]-y);const full=found2.length===count;if(!(distance<
(full?found2[count-1].distance:Number.POSITIVE_INFINITY))||!counts(row))continue;if(full)found2.pop();let at=found2.length;
while(at&&found2[at-1].distance>distance)at--;found2.splice(at,0,{row,distance})}return found2}var Neighbours=class{constructor(subspaces){
this.subspaces=subspaces;this.app=subspaces.app;this.key="";this.found=[];this.list=h("ol");this.all=button("select thes\
e",()=>this.app.select([this.app.data.row,...this.found.map(f=>f.row)]));this.all.setAttribute("aria-label","select thes\
e nearest samples");this.about=note("");const ontoggle=()=>this.app.refresh();const head=h("summary",{text:"Nearest samp\
les"});this.body=h("div",{hidden:true},this.list,this.all,this.about);this.el=h("details",{class:"clcr-neighbours",ontoggle},
head,this.body)}drawn(){const{app,other}=this.subspaces;const places=app.data.placesOf(app.get("modality"),app.get("epoc\
h"),other);return places??{values:new Float32Array,start:0,width:1}}update(){const{app,subspaces}=this;const{data}=app;this.
body.hidden=!this.el.open;if(!this.el.open)return;const modality=app.get("modality");const key=[subspaces.key(),modality,
data.picked].join("|");if(key===this.key)return;this.key=key;const{values,start}=this.drawn();const{present}=data.table;
const isThere=row=>subspaces.isCode||Boolean(present[modality].v[row]);const from=[values[start+2*data.row],values[start+
2*data.row+1]];const others=row=>row!==data.row&&isThere(row);this.found=isThere(data.row)?nearestRows(values,start,from,
data.ids.length,others):[];this.all.hidden=!this.found.length;const of=subspaces.isCode?"":`, of ${modality}`;this.about.
textContent=this.found.length?`Distances in the plane drawn${of}; what the projection leaves out may tell them apart.`:`\
id ${data.picked} has no ${modality}.`;this.list.replaceChildren(...this.found.map(each=>this.item(each)))}item({row,distance}){
const{data}=this.app;const id=data.ids[row];const pick=button(`id ${id}`,()=>this.app.show(id));pick.setAttribute("aria-\
label",`pick id ${id}`);const label=data.fact("label",row);return h("li",{},pick,h("span",{text:label??"",title:label&&`\
label ${label}`}),fmt(distance))}draw(ctx){if(!this.el.open||!this.found.length)return;const{subspaces}=this;const{values,
start,width}=this.drawn();const seen=row=>subspaces.toCanvas([values[start+2*row]/width,values[start+2*row+1]/width]);pen(
ctx,this.app.theme.ink(.7),1);const from=seen(this.app.data.row);for(const{row}of this.found)line(ctx,[from,seen(row)])}};var PATIENCE2=700;var Probes=class{constructor(app){this.app=app;this.el=h("div",{class:"clcr-probes"});this.key="";this.
waited=false;this.rows=void 0;this.asking=0;app.cleanups.push(()=>clearTimeout(this.asking))}update(waiting){const{app}=this;
const key=app.data.spaceKey(app.get("modality"));const rows=app.get("_probes")?.[key];if(this.key===key&&this.rows===rows&&
this.waited===waiting)return;Object.assign(this,{key,rows,waited:waiting});clearTimeout(this.asking);this.el.replaceChildren(
term(app,"probe","Read by a linear probe"));if(rows)this.fill(rows);else this.el.append(note(app.data.kernel?"measuring…":
"not measured for this page"));if(!rows&&app.data.kernel&&!waiting){this.asking=setTimeout(()=>{app.model.send({probe:[app.
get("space"),app.get("level"),app.get("modality")]})},PATIENCE2)}}fill(rows){for(const{target,accuracy,shuffled,chance}of rows){
const control=`shuffled ${fmt(shuffled)}, chance ${fmt(chance)}`;const bar=h("div",{class:"clcr-probe-bar",role:"img","a\
ria-label":`${target}: accuracy ${fmt(accuracy)}, ${control}`},h("i",{style:`width:${100*clamp(accuracy,0,1)}%`}),h("b",
{style:`left:${100*clamp(shuffled,0,1)}%`}));this.el.append(h("div",{class:"clcr-probe",title:control},h("span",{title:target,
text:target}),h("strong",{text:fmt(accuracy)}),h("small",{text:fmt(shuffled)}),bar))}this.el.append(rows.length?h("p",{class:"\
clcr-note"},"accuracy, and the tick: ",term(this.app,"shuffled","on shuffled labels")):note("no label or attribute with \
groups to read"))}};var SPACES=[["shared","shared summary"],["private","private summary"],["shared_code","shared code"],["private_code","pri\
vate code"]];var Subspaces=class{constructor(app){this.app=app;const{table}=app.data;this.zoom=false;this.other=false;this.
density=app.data.ids.length>CROWDED?new Density:null;this.toCanvas=place=>place;const side=h("div",{class:"clcr-side"});
const main=h("div",{class:"clcr-main"});const colors=["modality",...table.columns.map(c=>c.name)];const spaces=SPACES.filter(
([name])=>table.spaces.includes(name));const zoom=tickBox(app,"zoom","zoom in",on=>{this.zoom=on});const controls=[picker(
app,"space","Space",spaces,"space"),picker(app,"modality","Modality",table.modalities.map(m=>[m,m])),picker(app,"color",
"Colour",colors.map(c=>[c,c])),picker(app,"projection","Projection",this.projections(),"projection"),...app.data.compared?
[this.traces()]:[],zoom,tickBox(app,"density","density",on=>this.showDensity(on),app.data.ids.length>CROWDED),this.lens()];
this.el=panel(app,"subspaces","Subspaces","space",controls,[main,side]);this.cloud=new Cloud(app,main,400,"Samples in th\
e chosen space. Arrow keys step through the samples.",{key:()=>this.key(),place:(width,height)=>this.place([width,height]),
frame:(ctx,width,height)=>this.frame(ctx,width,height),look:(row,layer)=>this.byModality?{color:app.theme.modality(layer),
shape:SHAPES[layer%SHAPES.length]}:app.colouring.of(row),above:(ctx,width,height)=>this.above(ctx,[width,height]),overlay:()=>[
this.density,this.neighbours.el.open,this.neighbours.found],marks:()=>this.marks(),animate:true,zooms:true});this.legend=
h("div",{class:"clcr-legend"});this.probes=new Probes(app);this.neighbours=new Neighbours(this);side.append(this.legend,
this.neighbours.el,this.probes.el);this.note=note("");main.append(this.note);this.epochs=table.epochs>1?new Epochs(app):
null;if(this.epochs)main.append(this.epochs.el)}projections(){const{data}=this.app;const all=[["pca","PCA"],["umap","UMA\
P"]];return all.filter(([name])=>data.kernel||Object.keys(data.points).some(kind=>kind.startsWith(name)))}showDensity(on){
this.density=on?new Density:null}traces(){const onchange=event=>{this.other=inputValue(event)==="b";this.app.refresh()};
const options=["a","b"].map(value=>h("option",{value,text:value}));return h("label",{class:"clcr-control"},term(this.app,
"trace","Trace"),h("select",{"aria-label":"Trace",onchange},...options))}lens(){const each=[["−","Shrink",()=>this.cloud.
zoom(1/STEP)],["+","Enlarge",()=>this.cloud.zoom(STEP)],["all","See all points",()=>this.cloud.whole()]];const buttons=each.
map(([text,label,run])=>{const made=button(text,run);made.setAttribute("aria-label",label);made.title=`${label}: Ctrl an\
d wheel, or + − 0; Alt and drag, or Shift and arrows, move`;return made});return h("span",{class:"clcr-control"},...buttons)}get byModality(){
return this.app.get("color")==="modality"}get isCode(){return this.app.get("space").endsWith("_code")}get shown(){const{
app}=this;return this.byModality&&app.get("space")==="shared"?app.data.table.modalities:[app.get("modality")]}above(ctx,size){
this.density?.draw(ctx,this.app.theme,this.cloud.points,size);this.neighbours.draw(ctx)}marks(){const{app}=this;const dots=this.
cloud.picked();if(this.other)return[...this.placesAsTraced(),...dots];const place=app.data.answer().place;if(!place||app.
get("projection")!=="pca"||app.get("epoch")<app.data.table.epochs-1)return dots;const level=app.get("level");const marks=this.
shown.flatMap(m=>{const at=place[app.data.spaceKey(m)];const reach=app.data.pointsOf(m)?.reach;if(!reach||!this.isCode&&
!app.data.tokens(m,level))return[];const[x,y]=this.toCanvas([(at[0]/reach+1)/2,(at[1]/reach+1)/2]);return[[x,y,false]]});
const moved=([x,y])=>marks.every(([nx,ny])=>Math.hypot(nx-x,ny-y)>1);return[...dots.filter(moved).map(([x,y])=>[x,y,true]),
...marks]}placesAsTraced(){const{data}=this.app;return this.shown.flatMap(m=>{const places=data.placesOf(m,data.table.epochs-
1);if(!places||!this.isCode&&!data.table.present[m].v[data.row])return[];const[x,y]=[0,1].map(axis=>places.values[places.
start+2*data.row+axis]/places.width);return[[...this.toCanvas([x,y]),true]]})}key(){const{app}=this;const modality=app.get(
"modality");const space=`${app.get("projection")}/${app.data.spaceKey(modality)}`;const here=Boolean(app.data.pointsOf(modality,
this.other));return[space,here,app.get("epoch"),this.byModality,this.zoom,this.other].join()}place(size){const{app}=this;
const{table,ids}=app.data;const side=Math.min(...size)-26;const[left,top]=size.map(length=>(length-side)/2);const fit=([
u,v])=>[left+u*side,top+(1-v)*side];let toWhole=fit;const most=this.shown.length*ids.length;const[x,y]=[new Float32Array(
most),new Float32Array(most)];const[sample,layer]=[new Int32Array(most),new Uint8Array(most)];let n=0;for(const m of this.
shown){const places=app.data.placesOf(m,app.get("epoch"),this.other);if(!places)continue;const{values,start,width}=places;
const number=table.modalities.indexOf(m);for(let i=0;i<ids.length;i++){if(!this.isCode&&!table.present[m].v[i])continue;
x[n]=left+values[start+2*i]/width*side;y[n]=top+(1-values[start+2*i+1]/width)*side;sample[n]=i;layer[n]=number;n++}}if(this.
zoom&&n){const move=enlarge(x.subarray(0,n),y.subarray(0,n),size,40);for(let i=0;i<n;i++)[x[i],y[i]]=move([x[i],y[i]]);toWhole=
place=>move(fit(place))}const{view}=this.cloud;this.toCanvas=place=>view.see(toWhole(place));return{x:x.subarray(0,n),y:y.
subarray(0,n),sample:sample.subarray(0,n),layer:layer.subarray(0,n)}}frame(ctx,width,height){const{theme}=this.app;const[
x,y]=this.toCanvas([.5,.5]);pen(ctx,theme.ink(.1),1);line(ctx,[[x,0],[x,height]]);line(ctx,[[0,y],[width,y]]);ctx.font=theme.
font(11);const name=this.app.get("projection")==="pca"?"PC":"UMAP ";write(ctx,`${name}1 →`,width-4,height-5,"right",theme.
ink(.6));write(ctx,`↑ ${name}2`,4,12,"left",theme.ink(.6))}update(){const{app}=this;for(const{name,select}of app.pickers){
if(name==="modality"&&this.el.contains(select))select.disabled=this.isCode}const waiting=!app.data.pointsOf(app.get("mod\
ality"));markWaiting(this.el,waiting);this.note.textContent=waiting?"The kernel is fitting this projection; a first UMAP\
 takes some 20 s.":this.noteText();this.neighbours.update();if(!waiting)this.cloud.update();app.colouring.fillLegend(this.
legend);this.probes.update(waiting);this.epochs?.update()}noteText(){const{app}=this;if(this.other)return this.otherNote();
const level=this.isCode?"":` · ${app.data.table.levels[app.get("level")]} level`;const range=this.zoom?"Enlarged around\
 these points.":"One range for all levels and modalities of a space.";const pale=app.data.lacking?" Pale: this page keep\
s no tokens of theirs.":"";const lines=SHARES.map(share=>100*share).join(", ");const dense=this.density?` Lines: the den\
sest regions, with ${lines} % of the points in view.`:"";return`${counted(app.data.ids.length)} samples${level}. ${range}\
 Click or draw a loop to select.${pale}${dense}`}otherNote(){const{data}=this.app;const found2=data.compared?.distance[data.
spaceKey(this.app.get("modality"))];if(!found2)return"The other trace has no such space.";return`Trace b, turned and sca\
led as a whole to lie nearest to a (Procrustes): ${fmt(found2[0])} of the spread is left over, ${fmt(found2[1])} with it\
s samples shuffled. Small ring: where a has the picked sample.`}};var Theme=class{constructor(root,palette,changed){this.root=root;this.palette=palette;this.shadesOfRamp=Array.from({length:256},
(_,i)=>rampColor(palette.ramp,i/255));this.changed=changed;this.name="light";this.shades=palette.light;this.paper="#fff";
this.paperRGB=[255,255,255];this.inkRGB="0,0,0";this.sprites=new Map;this.watch=new MutationObserver(()=>this.look());const attributeFilter=[
"data-jp-theme-light","data-jp-theme-name","class","data-vscode-theme-id"];this.watch.observe(document.body,{attributes:true,
attributeFilter});this.system=matchMedia("(prefers-color-scheme: dark)");this.onSystem=()=>this.look();this.system.addEventListener(
"change",this.onSystem);this.look();setTimeout(()=>this.look(),300)}close(){this.watch.disconnect();this.system.removeEventListener(
"change",this.onSystem)}look(){const styles=[getComputedStyle(document.body),getComputedStyle(document.documentElement)];
const host=["--jp-layout-color0","--vscode-editor-background"].flatMap(name=>styles.map(style=>style.getPropertyValue(name).
trim())).find(color=>color);const forced=matchMedia("(forced-colors: active)").matches&&getComputedStyle(this.root).backgroundColor;
let dark=this.system.matches;if(forced||host){const[r,g,b]=pixelOf(forced||host||"");dark=.299*r+.587*g+.114*b<128}this.
name=dark?"dark":"light";this.shades=this.palette[this.name];this.root.dataset.theme=this.name;this.paper=getComputedStyle(
this.root).getPropertyValue("--paper").trim()||"#fff";this.paperRGB=pixelOf(this.paper);this.inkRGB=rgbOf(this.shades.ink).
join(",");this.sprites.clear();this.changed()}get warning(){return this.shades.warning}ink(alpha){return`rgba(${this.inkRGB}\
,${alpha})`}font(size,bold=false){return`${bold?"600 ":""}${size}px system-ui, -apple-system, "Segoe UI", Roboto, sans-s\
erif`}modality(i){const{modalities}=this.shades;return modalities[Math.max(0,i)%modalities.length]}level(i,k){return this.
ramp(.2+.6*(k>1?i/(k-1):1))}ramp(t){return`rgb(${this.shadesOfRamp[Math.round(255*clamp(t,0,1))].join(",")})`}sprite({color,
shape},r,scale){const key=`${color}${shape}${r}${scale}`;const cached=this.sprites.get(key);if(cached)return cached;const canvas=document.
createElement("canvas");canvas.width=canvas.height=Math.ceil((2*r+4)*scale);const ctx=contextOf(canvas);const c=canvas.width/
scale/2;ctx.scale(scale,scale);mark(ctx,shape,c,c,r);ctx.fillStyle=color;ctx.fill();ctx.strokeStyle=this.paper;ctx.lineWidth=
.7;ctx.stroke();this.sprites.set(key,canvas);return canvas}};var probe;function pixelOf(color){probe??=contextOf(document.
createElement("canvas"),{willReadFrequently:true});probe.fillStyle="#000";probe.fillStyle=color;probe.fillRect(0,0,1,1);
return Array.from(probe.getImageData(0,0,1,1).data.slice(0,3))}var normal=query=>query.trim().toLowerCase();function columnAsked(data,query){const[name,value]=normal(query).split(/:(.*)/s).
map(part=>part.trim());if(value===void 0)return[void 0,""];return[data.table.columns.find(c=>c.name.toLowerCase()===name),
value]}function found(data,query,named={}){const text=normal(query);if(!text)return[];const rows=data.ids.map((_,row)=>row);
const[column,value]=columnAsked(data,query);if(column)return rows.filter(row=>data.valueOf(column,row).toLowerCase()===value);
const spoken=samplesSaying(data,text);for(const id of named.asked===text&&named.ids||[])spoken.add(id);return rows.filter(
row=>data.ids[row]===text||data.table.columns.some(c=>c.kind==="category"&&data.valueOf(c,row).toLowerCase().includes(text))||
spoken.has(data.ids[row]))}function samplesSaying({block},text){const ids=new Set;for(const lane of Object.values(block?.
lanes??{})){const[,length]=lane.mask.shape;const spelt=(block?.ids??[]).map((_,row)=>{const places=Array.from({length},(_2,t)=>row*
length+t).filter(at=>lane.mask.v[at]);return places.map(at=>block?.texts[lane.text.v[at]].toLowerCase())});if(new Set(spelt.
flatMap(texts=>texts.slice(0,1))).size<2)continue;spelt.forEach((texts,row)=>{const says=[texts.join(""),texts.join(" ")].
some(line2=>line2.includes(text));if(says)ids.add(block?.ids[row]??"")})}return ids}var Search=class{constructor(app){this.
app=app;this.box=h("input",{type:"search",class:"clcr-search",placeholder:"id, text or column: value","aria-label":"Find\
 samples",onchange:()=>this.find(),onkeydown:event=>{if(event.key!=="Enter")return;this.asked="";this.find();event.preventDefault()}});
this.count=h("output",{class:"clcr-found"});this.el=h("label",{class:"clcr-control"},h("span",{text:"Find"}),this.box,this.
count);this.asked="";app.on("_found",()=>{if(app.get("_found").asked===normal(this.asked))this.select()})}find(){const{app}=this;
const query=this.box.value;if(query===this.asked)return;this.asked=query;this.select();const text=normal(query);if(app.data.
kernel&&text&&app.get("_found").asked!==text)app.model.send({find:text})}select(){const{data}=this.app;const rows=found(
data,this.asked,this.app.get("_found"));this.app.select(rows);const[column]=columnAsked(data,this.asked);const part=`; w\
ords looked for in ${counted(data.blockRows.size)} of ${counted(data.ids.length)} samples`;const within=data.lacking&&!column&&
!data.rowOf.has(normal(this.asked))?part:"";this.count.textContent=this.asked.trim()?`${counted(rows.length)} found${within}`:
""}};var Toolbar=class{constructor(app){this.app=app;const views=app.get("views");const any=(...names)=>names.some(name=>views.
includes(name));this.idBox=h("input",{type:"text",inputmode:"numeric","aria-label":"Sample id",class:"clcr-id",onchange:()=>this.
pick(),onkeydown:event=>{if(event.key!=="Enter")return;this.pick();event.preventDefault()}});this.facts=h("span",{class:"\
clcr-facts"});this.chip=h("button",{type:"button",class:"clcr-chip",onclick:()=>app.select([])});this.levels=[];this.slider=
null;this.gammas=app.data.driver==="precomputed"&&app.data.answers?.gammas||null;this.gamma=h("output",{class:"clcr-gamm\
a-value"});this.el=h("div",{class:"clcr-toolbar",role:"group","aria-label":"Explorer"});this.el.append(this.samplePicker());
if(!app.data.model.complete)this.el.append(new Search(app).el);if(any("subspaces","budget","attention"))this.el.append(this.
levelPicker());if(any("budget","attention"))this.el.append(this.gammaSlider());this.el.append(this.facts,this.chip)}pick(){
this.app.pickId(this.idBox.value.trim())}samplePicker(){const{app}=this;const[back,on]=[button("‹",()=>app.stepSample(
-1)),button("›",()=>app.stepSample(1))];back.setAttribute("aria-label","Previous sample");on.setAttribute("aria-label",
"Next sample");return h("span",{class:"clcr-control"},term(app,"selection","Sample"),back,this.idBox,on)}levelPicker(){const{
app}=this;const{levels}=app.data.table;const name=`clcr-level-${Math.random().toString(36).slice(2)}`;this.levels=levels.
map((_,level)=>h("input",{type:"radio",name,value:level,onchange:()=>app.set({level})}));const segments=levels.map((text,i)=>h(
"label",{},this.levels[i],h("span",{text})));return h("span",{class:"clcr-control",role:"radiogroup","aria-label":"Level"},
term(app,"level","Level"),h("span",{class:"clcr-segments"},...segments))}gammaSlider(){const{app,gammas}=this;this.slider=
h("input",{type:"range",class:"clcr-gamma","aria-label":"gamma, the budget multiplier",...gammas?{min:0,max:gammas.length-
1,step:1}:{min:0,max:2,step:.05},oninput:event=>{const value=Number(inputValue(event));app.set({gamma:gammas?gammas[value]:
Number(value.toFixed(4))})}});const reset=button("reset",()=>{const{gamma}=app.data.table;app.set(app.get("live")?{gamma,
muted:[]}:{gamma})});reset.title="back to γ as traced, nothing muted";return h("label",{class:"clcr-control"},term(app,
"gamma","γ"),this.slider,this.gamma,reset)}update(){const{app}=this;if(document.activeElement!==this.idBox)this.idBox.value=
app.get("picked");this.facts.textContent=this.factsText();const{length}=app.get("selection");this.chip.hidden=!length;this.
chip.textContent=`${length} selected ✕`;this.chip.setAttribute("aria-label",`${length} selected; clear the selection`);
this.levels.forEach((input,i)=>{input.checked=i===app.get("level")});if(this.slider)this.showGamma(this.slider)}factsText(){
const{data}=this.app;if(data.model.edited)return"changed by you";const[label,prediction]=["label","prediction"].map(name=>data.
fact(name,data.row));const error=data.table.task==="classification"&&data.fact("error",data.row);const facts=[label&&`la\
bel ${label}`,prediction&&`predicted ${prediction}${error?` (${error})`:""}`];return facts.filter(Boolean).join(", ")}showGamma(slider){
const gamma=this.app.get("gamma");if(this.gammas)slider.value=String(nearestIndex(this.gammas,gamma));else{slider.max=String(
Math.max(2,Math.ceil(gamma)));slider.value=String(gamma)}slider.setAttribute("aria-valuetext",`gamma ${fmt(gamma)}`);this.
gamma.textContent=fmt(gamma)}};var VIEWS={subspaces:Subspaces,gates:Gates,budget:Budget,attention:Attention};var TRAITS="selection picked gamma level m\
odality space projection color head epoch muted error _probes".split(" ");var App=class{constructor(model,root,driver){this.
model=model;this.root=root;this.cleanups=[];this.pickers=[];this.token=null;this.frame=0;this.unpainted=null;this.selectedIds=
[];this.selected=new Set;this.dimmingKey=0;this.dimmings=0;root.classList.add("clcr");this.data=new Data(model,driver);this.
player=new Player(this);this.colouring=new Colouring(this);this.theme=new Theme(root,this.data.table.palette,()=>this.refresh());
this.cleanups.push(()=>this.theme.close());for(const name of MESSAGES){this.on(name,()=>{this.data.take(name);this.refresh()})}
for(const name of TRAITS)this.on(name,()=>this.refresh());this.error=h("div",{class:"clcr-error",role:"alert",hidden:true});
this.status=h("div",{class:"clcr-hidden","aria-live":"polite"});this.tipBox=h("div",{class:"clcr-tip",role:"tooltip",hidden:true});
this.toolbar=new Toolbar(this);const shown=this.get("views");this.views=Object.keys(VIEWS).filter(name=>shown.includes(name)).
map(name=>new VIEWS[name](this));if(this.data.compared)this.views.unshift(new Comparison(this,this.data.compared));const single=!(shown.
includes("subspaces")&&shown.includes("gates"));const grid=h("div",{class:`clcr-grid${single?" clcr-single":""}`},...this.
views.map(view=>view.el));this.samples=new SamplesTable(this);const{absent}=this.data.table;const lacks=absent.length?note(
leftOut(absent)):"";root.replaceChildren(this.toolbar.el,this.error,grid,this.samples.el,lacks,this.tipBox,this.status);
root.addEventListener("pointerdown",event=>event.pointerType==="touch"&&this.leave(),{capture:true});root.addEventListener(
"keydown",event=>{if(event.key!=="Escape")return;this.untip();if(this.get("selection").length)this.select([])});this.refresh()}get(name){
return this.model.get(name)}set(values){for(const[name,value]of Object.entries(values))this.model.set(name,value);this.model.
save_changes();this.refresh()}on(name,run){const event=`change:${name}`;this.model.on(event,run);this.cleanups.push(()=>this.
model.off(event,run))}refresh(){this.frame||=requestAnimationFrame(()=>{this.frame=0;this.update()})}close(){this.player.
stop();cancelAnimationFrame(this.frame);for(const run of this.cleanups)run()}update(){const selection=this.get("selectio\
n");if(this.selectedIds!==selection){this.selectedIds=selection;this.selected=new Set(selection.map(id=>this.data.rowOf.
get(id)??-1));this.dimmingKey=selection.length>1?++this.dimmings:0}this.player.update();const error=this.get("error");this.
error.hidden=!error;this.error.textContent=error;for(const{name,select}of this.pickers){const value=String(this.get(name));
if(select.value!==value)select.value=value}const canvases=new Set;this.unpainted=canvases;this.toolbar.update();for(const view of this.
views)view.update();this.samples.update();this.unpainted=null;for(const canvas of canvases)canvas.redraw()}say(text){this.
status.textContent=text}tip(at,lines){const box=this.root.getBoundingClientRect();const items=lines.map((text,i)=>h(i||lines.
length===1?"div":"strong",{text}));this.tipBox.replaceChildren(...items);this.tipBox.hidden=false;const width=this.tipBox.
offsetWidth;this.tipBox.style.left=`${clamp(at.clientX-box.left+14,4,Math.max(4,box.width-width-4))}px`;this.tipBox.style.
top=`${at.clientY-box.top+16}px`}untip(){this.tipBox.hidden=true}leave(){this.point(null);this.untip()}describe(row,layer){
const{table,ids}=this.data;const modality=layer!=null&&this.get("color")==="modality"?`, ${table.modalities[layer]}`:"";
const facts=table.columns.slice(0,7).map(c=>`${c.name}: ${this.data.valueOf(c,row)}`);return[`id ${ids[row]}${modality}`,
...facts]}select(rows,add=false){let ids=rows.map(i=>this.data.ids[i]);if(add){const now=this.get("selection");const leaves=ids.
length===1&&now.includes(ids[0]);const has=new Set(now);ids=leaves?now.filter(id=>id!==ids[0]):[...now,...ids.filter(id=>!has.
has(id))]}const changes={selection:ids};const picked=this.get("picked");const single=rows.length===1?this.data.ids[rows[0]]:
null;if(ids.length&&(!ids.includes(picked)||single!==null)){changes.picked=single!==null&&ids.includes(single)?single:ids[0];
if(changes.picked!==picked&&this.get("muted").length)changes.muted=[]}this.set(changes);this.say(ids.length?`${ids.length}\
 selected, id ${changes.picked??picked} picked`:"selection cleared")}pickId(id){const row=this.data.rowOf.get(id);if(row!==
void 0)return this.select([row]);this.toolbar.idBox.value=this.get("picked");this.say(`no sample ${id}`)}stepSample(by){
const selection=this.get("selection");const list=selection.length>1?selection:this.data.ids;this.show(list[(list.indexOf(
this.get("picked"))+by+list.length)%list.length])}show(id){const selection=this.get("selection");if(selection.length<2||
!selection.includes(id))this.pickId(id);else this.set(this.get("muted").length?{picked:id,muted:[]}:{picked:id})}stepKeys(event){
const steps={ArrowRight:1,ArrowDown:1,ArrowLeft:-1,ArrowUp:-1};const by=steps[event.key];if(!by)return;this.stepSample(by);
event.preventDefault()}point(token){if(token?.modality===this.token?.modality&&token?.i===this.token?.i)return;this.token=
token;this.refresh()}tokenOf(modality){return this.token?.modality===modality?this.token.i:-1}};var REST2=250;var TOUCHES=["pointerup","keyup","change","input","click","wheel"];var VIEW="view";var below=(text,end)=>/^\d{1,6}$/.
test(text)&&Number(text)<end?Number(text):void 0;var among=(text,names)=>[...names].includes(text)?text:void 0;var READ={
picked:(text,data)=>data.rowOf.has(text)?text:void 0,level:(text,data)=>below(text,data.table.levels.length),head:(text,data)=>below(
text,data.table.heads),epoch:(text,data)=>below(text,data.table.epochs),modality:(text,data)=>among(text,data.table.modalities),
space:(text,data)=>among(text,data.table.spaces),color:(text,data)=>among(text,["modality",...data.table.columns.map(c=>c.
name)]),projection:(text,data)=>among(text,Object.keys(data.points).map(kind=>kind.split("/")[0])),gamma:(text,data)=>{const gamma=/^\d{1,3}(\.\d{1,6})?$/.
test(text)?Number(text):Number.NaN;const gammas=data.driver==="precomputed"?data.answers?.gammas:void 0;if(Number.isNaN(
gamma)||gamma>100)return void 0;return gammas?gammas[nearestIndex(gammas,gamma)]:gamma}};function readAddress(hash,data){
const state={};const unknown=[];const asked2=new URLSearchParams(hash.replace(/^#/,""));for(const[name,read]of Object.entries(
READ)){const text=asked2.get(name);const value=text===null?void 0:read(text,data);if(value!==void 0)Object.assign(state,
{[name]:value});else if(text!==null)unknown.push(name)}const told=asked2.get(VIEW)?.split(",").map(Number);const view=told?.
length===3&&told.every(v=>Number.isFinite(v)&&v>=0)?told:null;if(told&&!view)unknown.push(VIEW);return{state,view,unknown}}
function writeAddress(now,before,view){const asked2=new URLSearchParams;for(const name of Object.keys(READ)){if(now(name)!==
before.get(name))asked2.set(name,String(now(name)))}if(view[0]>1)asked2.set(VIEW,view.map(v=>Number(v.toPrecision(5))).join());
return asked2.toString().replaceAll("%2C",",")}function follow(app){if(window!==window.top)return app;const before=new Map(
Object.keys(READ).map(name=>[name,app.get(name)]));const cloud=app.views.find(view=>view instanceof Subspaces)?.cloud;const take=()=>{
const{state,view,unknown}=readAddress(location.hash,app.data);cloud?.view.show(view??[1,.5,.5]);const what=unknown.join(
", ");const error=what&&`The address of this page asks for a ${what} that is not here; the rest is shown.`;app.set({...Object.
fromEntries(before),...state,error})};let waits=0;const tell=()=>{clearTimeout(waits);waits=setTimeout(()=>{const hash=writeAddress(
name=>app.get(name),before,cloud?.view.told??[1]);if(hash!==location.hash.slice(1))history.replaceState(null,"",hash?`#${hash}`:
location.pathname+location.search)},REST2)};for(const touch of TOUCHES)app.root.addEventListener(touch,tell,{passive:true});
window.addEventListener("hashchange",take);if(location.hash.length>1)take();return app}var once=({shape,v})=>({shape:[1,...shape],v});function answerFrom(outputs,sample,gamma,muted,maps){return{ids:[sample],
gammas:[gamma],muted,place:Object.fromEntries(Object.entries(maps).map(([key,map])=>[key,placeOf(outputs,key,map)])),prediction:once(
outputs.prediction),level_gate:once(outputs.level_gate),modality_gate:once(outputs.modality_gate),private_gate:once(outputs.
private_gate)}}function placeOf(outputs,key,map){const[,space,level,modality]=key.match(/^(\w+)(?:\/(\d+)\/(.*))?$/s)??[];
const{v}=outputs[level===void 0?space:`${space}_summary/${modality}`];const rank=map.shape[0]-1;const start=rank*Number(
level??0);const place=[map.v[2*rank],map.v[2*rank+1]];for(let i=0;i<rank;i++){place[0]+=v[start+i]*map.v[2*i];place[1]+=
v[start+i]*map.v[2*i+1]}return place}function blockFrom(outputs,id,sample,texts,ranges){const places=new Map([["",0]]);const lanes={};
for(const[m,{mask,size,values}]of Object.entries(sample)){const evidence=outputs[`evidence/${m}`];const length=evidence.
shape[2];const real=new Uint8Array(length);real.set(mask);const text=Array.from({length},(_,t)=>{const one=texts[m][t]??
"";if(!places.has(one))places.set(one,places.size);return places.get(one)??0});const count=mask.reduce((total,one)=>total+
one,0);lanes[m]={mask:{shape:[1,length],v:real},evidence,activation:outputs[`activation/${m}`],budget:{shape:outputs.rho.
shape,v:Float32Array.from(outputs.rho.v,rho=>rho*count)},text:{shape:[1,length],v:Int32Array.from(text)}};if(!ranges[m])
continue;const[low,high]=ranges[m];const strip=new Uint8Array(length*size);values.forEach((v,i)=>{strip[i]=255*clamp((v-
low)/(high-low),0,1)});lanes[m].features={shape:[1,length,size],v:strip}}return{ids:[id],lanes,texts:[...places.keys()],
threshold:outputs.threshold,scale:outputs.scale}}function attentionFrom(outputs,id,modalities){const listeners=modalities.
filter(m=>outputs[`attention/${m}`]);const of=listeners.map(m=>{const weights=outputs[`attention/${m}`];const top={shape:weights.
shape.slice(0,4),v:new Float32Array(weights.v.length/weights.shape[4]).fill(255)};const others=modalities.filter(o=>o!==
m);return[m,{others:others.map(o=>[o,outputs[`allocation/${o}`].shape[2]]),top,weights}]});const levels=Array.from({length:outputs.
rho.shape[1]},(_,i)=>i);return{ids:[id],pool:1,levels,head:null,asked:modalities,of:Object.fromEntries(of)}}var Network=class _Network{constructor(session,levels,repeats){this.session=session;this.levels=levels;this.repeats=repeats;
this.last=Promise.resolve()}static async open(wasm,model,levels,repeats){const{ort}=globalThis;Object.assign(ort.env.wasm,
{wasmBinary:wasm,numThreads:1});const session=await ort.InferenceSession.create(new Uint8Array(model),{executionProviders:[
"wasm"]});return new _Network(session,levels,repeats)}run(samples,gamma,muted){const run=async()=>{const outputs=await this.
session.run(this.feeds(samples,gamma,muted));const names=Object.keys(outputs);return Object.fromEntries(names.map(name=>[
name,{shape:outputs[name].dims,v:outputs[name].data}]))};this.last=this.last.then(run,run);return this.last}feeds(samples,gamma,muted){
const{Tensor}=globalThis.ort;const feeds={gamma:new Tensor("float32",Float32Array.of(gamma),[])};const n=samples.length;
for(const m of Object.keys(samples[0])){const length=Math.max(1,...samples.map(sample=>sample[m].mask.length));const{size,
ids}=samples[0][m];const mask=new Uint8Array(n*length);const values=new Float32Array(n*length*size);samples.forEach((sample,i)=>{
mask.set(sample[m].mask,i*length);values.set(sample[m].values,i*length*size)});feeds[`batch.masks/${m}`]=new Tensor("boo\
l",mask,[n,length]);feeds[`batch.tokens/${m}`]=ids?new Tensor("int64",BigInt64Array.from(values,BigInt),[n,length]):new Tensor(
"float32",values,[n,length,size]);feeds[`mute/${m}`]=new Tensor("bool",this.muteOf(m,muted,n,length),[n,this.levels,this.
repeats*length])}return feeds}muteOf(modality,muted,n,length){const tokens=this.repeats*length;const mute=new Uint8Array(
n*this.levels*tokens);for(const[m,level,token]of muted){if(m!==modality||token>=tokens)continue;for(let i=0;i<n;i++)mute[(i*
this.levels+level)*tokens+token]=1}return mute}};var PageModel=class{constructor(state){this.state=state;this.listeners=new Map}get(name){return this.state[name]}set(name,value){
this.state[name]=value;for(const run of[...this.listeners.get(`change:${name}`)??[]])run()}on(event,run){this.listeners.
set(event,[...this.listeners.get(event)??[],run])}off(event,run){this.listeners.set(event,(this.listeners.get(event)??[]).
filter(other=>other!==run))}save_changes(){}send(){}};async function openPage(root,state,packed){return follow(new App(new PageModel(
revive(state,await inflate(packed,"deflate"))),root,"precomputed"))}var ASKS=["picked","gamma","muted"];var LiveModel=class extends PageModel{constructor(state,network){super(state);this.network=
network;this.inputs=decode(state._inputs);this.asking=false;this.again=false}set(name,value){super.set(name,value);if(ASKS.
includes(name))this.ask()}sample(){const row=this.inputs.ids.indexOf(this.get("picked"));return row<0?null:sampleOf(this.
inputs,row)}async ask(){this.again=true;if(this.asking)return;this.asking=true;try{const network=await this.network;while(this.
again){this.again=false;const sample=this.sample();const[gamma,muted]=[this.get("gamma"),this.get("muted")];if(sample)this.
take(await network.run([sample],gamma,muted),sample)}}catch(error){super.set("error",`The model does not run here: ${error instanceof
Error?error.message:error}`)}finally{this.asking=false}}take(outputs,_sample){super.set("_answer",answerFrom(outputs,this.
get("picked"),this.get("gamma"),this.get("muted"),this.inputs.maps))}};function sampleOf({tokens,masks,repeats},row){const each=Object.
keys(masks).map(m=>{const{shape,v}=tokens[m];const[,length,size=1]=shape;const mask=Uint8Array.from(masks[m].v.subarray(
row*length,(row+1)*length));const kept=repeats>1?length:mask.lastIndexOf(1)+1;const values=Float32Array.from(v.subarray(
row*length*size,(row*length+kept)*size));return[m,{size,ids:shape.length===2,mask:mask.subarray(0,kept),values}]});return Object.
fromEntries(each)}async function openModel(state,packed,wasm,onnx){const revived=revive(state,await inflate(packed,"defl\
ate"));const open=async()=>{const[code,model]=await Promise.all([inflate(wasm,"gzip"),inflate(onnx,"gzip")]);return Network.
open(code,model,revived._table.levels.length,revived._inputs.repeats)};return{state:revived,network:open()}}async function openLivePage(root,state,packed,wasm,onnx){
const opened=await openModel(state,packed,wasm,onnx);const model=new LiveModel(opened.state,opened.network);model.ask();
return follow(new App(model,root,"onnx"))}function arranged({from,to,later},frames,bands){const kept=frames.subarray(from*bands,to*bands);const all=new Float32Array(
later*bands+kept.length);all.set(kept,later*bands);return all}function sing(frames,{hertz,rate,hop,floor}){const bands=hertz.
length;const wave=new Float32Array(frames.length/bands*hop);let peak=1e-6;for(let t=0;t<wave.length;t++){const start=Math.
floor(t/hop)*bands;for(let b=0;b<bands;b++){const level=frames[start+b];if(level<=0)continue;wave[t]+=10**(-floor*(level-
1)/20)*Math.sin(2*Math.PI*hertz[b]*t/rate+b*b)}peak=Math.max(peak,Math.abs(wave[t]))}const file=new DataView(new ArrayBuffer(
44+2*wave.length));[..."RIFF....WAVEfmt "].forEach((c,i)=>{file.setUint8(i,c.charCodeAt(0))});file.setUint32(4,36+2*wave.
length,true);file.setUint32(16,16,true);file.setUint16(20,1,true);file.setUint16(22,1,true);file.setUint32(24,rate,true);
file.setUint32(28,2*rate,true);file.setUint16(32,2,true);file.setUint16(34,16,true);[..."data"].forEach((c,i)=>{file.setUint8(
36+i,c.charCodeAt(0))});file.setUint32(40,2*wave.length,true);wave.forEach((v,t)=>{file.setInt16(44+2*t,Math.round(.5*v*
32767/peak),true)});return new Uint8Array(file.buffer)}var ClipPanel=class{constructor(app,parent,about,onchoose,onchange){
this.app=app;this.about=about;this.onchange=onchange;this.clip={sample:"",from:0,to:0,later:0};this.length=0;this.frames=
new Float32Array;this.canvas=new Canvas(app,parent,74,"The sound the model gets: pitch upwards, time to the right.",(ctx,w,hh)=>this.
draw(ctx,w,hh));const select=(label,options,run)=>{const items=options.map(value=>h("option",{value,text:value}));const onchange2=event=>run(
inputValue(event));return h("select",{"aria-label":label,onchange:onchange2},...items)};this.voice=select("Voice",about.
voices,voice=>onchoose({voice}));this.digit=select("Spoken digit",about.digits,digit=>onchoose({digit}));this.listen=button(
"▶ listen",()=>app.player.toggle("acoustic"));this.listen.classList.add("clcr-play");const next=button("other take",()=>onchoose(
{next:true}));parent.append(h("div",{class:"clcr-controls"},...[this.voice,this.digit].map(el=>h("span",{},el)),next,this.
listen));this.from=this.slider("from",from=>({from:Math.min(from,this.clip.to-1)}));this.to=this.slider("to",to=>({to:Math.
max(to,this.clip.from+1)}));this.later=this.slider("later by",later=>({later}));for(const{el}of[this.from,this.to,this.later])
parent.append(el)}slider(name,change){const oninput=event=>this.onchange({...this.clip,...change(Number(inputValue(event)))});
const input=h("input",{type:"range",min:0,max:1,step:1,"aria-label":`sound: ${name}`,oninput});const output=h("output",{});
return{el:h("label",{class:"clcr-control"},h("span",{text:name}),input,output),input,output}}show(clip,length,voice,digit,frames){
Object.assign(this,{clip,length,frames});this.voice.value=voice;this.digit.value=digit;const rows=[[this.from,clip.from,
length-1],[this.to,clip.to,length],[this.later,clip.later,this.about.latest]];for(const[{input,output},value,most]of rows){
input.max=String(most);input.value=String(value);output.textContent=`${value*this.about.hopMs} ms`;input.setAttribute("a\
ria-valuetext",output.textContent)}this.canvas.paint()}update(){const playing=this.app.player.playing?.modality==="acous\
tic";this.listen.textContent=playing?"■ stop":"▶ listen";this.listen.disabled=!this.frames.length}draw(ctx,width,height){
const{bands}=this.about;const count=this.frames.length/bands;const step=Math.min(12,width/Math.max(1,count));for(let t=0;t<
count;t++){for(let b=0;b<bands;b++){ctx.fillStyle=this.app.theme.ramp(.05+.9*this.frames[t*bands+b]);ctx.fillRect(t*step,
height-(b+1)*height/bands,step+.5,height/bands+.5)}}}};var CELLS=8;var POINTS=4*CELLS;var PEN=.62;var Sheet=class{constructor(){this.base=new Float32Array(CELLS*CELLS);this.points=
new Uint8Array(POINTS*POINTS)}lay(values){this.base.set(values);this.points.fill(0)}cells(){return this.base.map((laid,i)=>{
const[row,column]=[4*Math.floor(i/CELLS),4*(i%CELLS)];let black=0;for(let y=row;y<row+4;y++)for(let x=column;x<column+4;x++)
black+=this.points[y*POINTS+x];return Math.max(laid,black/16)})}stroke(from,to,erase){const[dx,dy]=[to[0]-from[0],to[1]-
from[1]];const square=dx*dx+dy*dy||1;for(let y=0;y<POINTS;y++){for(let x=0;x<POINTS;x++){const[px,py]=[(x+.5)/4,(y+.5)/4];
const along=clamp(((px-from[0])*dx+(py-from[1])*dy)/square,0,1);if(Math.hypot(from[0]+along*dx-px,from[1]+along*dy-py)>PEN)
continue;this.points[y*POINTS+x]=erase?0:1;if(erase)this.base[Math.floor(y/4)*CELLS+Math.floor(x/4)]=0}}}set(cell,value){
const[row,column]=[4*Math.floor(cell/CELLS),4*(cell%CELLS)];for(let y=row;y<row+4;y++)this.points.fill(0,y*POINTS+column,
y*POINTS+column+4);this.base[cell]=value}};var Drawing=class{constructor(app,parent,onchange){this.app=app;this.onchange=
onchange;this.sheet=new Sheet;this.erase=false;this.cursor=0;this.last=null;const label="Drawing on 8 by 8 cells. Draw w\
ith mouse or finger; arrow keys move between cells, the space bar darkens one in steps, Delete clears it.";this.canvas=new Canvas(
app,parent,200,label,(ctx,width)=>this.draw(ctx,width));const{el}=this.canvas;el.classList.add("clcr-drawing");el.addEventListener(
"pointerdown",event=>{if(event.button)return;el.setPointerCapture(event.pointerId);this.last=this.place(event);this.stroke(
event)});el.addEventListener("pointermove",event=>{for(const one of event.getCoalescedEvents?.()??[event])if(this.last)this.
stroke(one)});for(const end of["pointerup","pointercancel"]){el.addEventListener(end,()=>{this.last=null})}el.addEventListener(
"keydown",event=>this.press(event));for(const name of["focus","blur"])el.addEventListener(name,()=>this.canvas.paint())}lay(cells){
this.sheet.lay(cells);this.update()}update(){this.canvas.setHeight(this.canvas.width);this.canvas.paint()}clear(){this.lay(
new Float32Array(CELLS*CELLS));this.onchange(this.sheet.cells())}place(event){const[x,y]=this.canvas.at(event);return[x/
this.canvas.width*CELLS,y/this.canvas.width*CELLS]}stroke(event){const place=this.place(event);this.sheet.stroke(this.last??
place,place,this.erase);this.last=place;this.changed()}changed(){this.canvas.paint();this.onchange(this.sheet.cells())}press(event){
const steps={ArrowRight:[0,1],ArrowLeft:[0,-1],ArrowDown:[1,0],ArrowUp:[-1,0]};const step=steps[event.key];let[row,column]=[
Math.floor(this.cursor/CELLS),this.cursor%CELLS];const value=this.sheet.cells()[this.cursor];if(step){row=clamp(row+step[0],
0,CELLS-1);column=clamp(column+step[1],0,CELLS-1);this.cursor=row*CELLS+column;this.canvas.paint()}else if(event.key==="\
 "){this.sheet.set(this.cursor,value>=1?0:Math.min(1,Math.floor(value*2+1)/2));this.changed()}else if(event.key==="Delet\
e"||event.key==="Backspace"){this.sheet.set(this.cursor,0);this.changed()}else return;this.app.say(`row ${row+1}, column\
 ${column+1}: ${fmt(this.sheet.cells()[this.cursor],1)}`);event.preventDefault()}draw(ctx,width){const{theme}=this.app;const side=width/
CELLS;this.sheet.cells().forEach((value,i)=>{ctx.fillStyle=theme.ink(.04+.96*clamp(value,0,1));ctx.fillRect(i%CELLS*side+
.5,Math.floor(i/CELLS)*side+.5,side-1,side-1)});if(document.activeElement!==this.canvas.el||!this.canvas.el.matches(":fo\
cus-visible"))return;pen(ctx,theme.shades.warning,2);ctx.strokeRect(this.cursor%CELLS*side+1,Math.floor(this.cursor/CELLS)*
side+1,side-2,side-2)}};function asked(present){const alone=present.map(m=>({name:`${m} alone`,on:[m]}));const without=present.map(m=>({name:`wi\
thout ${m}`,on:present.filter(other=>other!==m)}));const all={name:"all together",on:present};return present.length>2?[all,
...alone,...without]:present.length>1?[all,...alone]:[all]}function only(sample,on){const each=Object.entries(sample).map(
([m,input])=>[m,on.includes(m)?input:{...input,mask:new Uint8Array(input.mask.length)}]);return Object.fromEntries(each)}
function mostHeard(outputs,modalities,level){let best={modality:"",token:-1,listener:"",weight:0};for(const speaker of modalities){
const heard={};for(const listener of modalities){if(listener===speaker||!outputs[`attention/${listener}`])continue;const{
shape,v}=outputs[`attention/${listener}`];const[,,heads,rows,columns]=shape;const others=modalities.filter(m=>m!==listener);
const lengths=others.map(m=>outputs[`allocation/${m}`].shape[2]);const at=others.indexOf(speaker);const start=lengths.slice(
0,at).reduce((a,b)=>a+b,0);const share=outputs[`allocation/${listener}`].v;heard[listener]=Array.from({length:lengths[at]},
(_,j)=>{let total=0;for(let k=0;k<heads;k++)for(let t=0;t<rows;t++)total+=share[level*rows+t]*v[((level*heads+k)*rows+t)*
columns+start+j];return total/heads})}const listeners=Object.keys(heard);for(let token=0;token<(heard[listeners[0]]?.length??
0);token++){const weight=listeners.reduce((total,m)=>total+heard[m][token],0);if(weight<=best.weight)continue;const listener=listeners.
reduce((a,b)=>heard[b][token]>heard[a][token]?b:a);best={modality:speaker,token,listener,weight}}}return best.token<0?null:
best}function believed(present,said){const together=said.get("all together");if(present.length<2)return present.length?`\
Only ${present[0]} is on.`:"Every modality is switched off.";const agree=present.filter(m=>said.get(`${m} alone`)===together);
const each=present.map(m=>`${m} ${said.get(`${m} alone`)}`).join(", ");const decides=present.filter(m=>said.has(`without\
 ${m}`)&&said.get(`without ${m}`)!==together);const turn=decides.map(m=>`Without ${m} it would say ${said.get(`without ${m}`)}\
.`).join(" ");if(agree.length===present.length)return`All agree: each alone says ${together}, and so does the model. ${turn}`;
const whom=agree.length?`It believes ${agree.join(" and ")}.`:"None of them says so alone.";return`Alone they say: ${each}\
. Together: ${together}. ${whom} ${turn}`}var Verdict=class{constructor(app){this.app=app;this.sentence=h("p",{class:"cl\
cr-verdict","aria-live":"polite"});this.rows=h("div",{class:"clcr-sayings"});this.el=h("div",{},this.sentence,this.rows)}show(present,questions,prediction,through){
const{outputs}=this.app.data.table;const k=outputs.length;const said=new Map;const rows=questions.map(({name},i)=>{const parts=softmax(
prediction.v.subarray(i*k,(i+1)*k));const best=parts.indexOf(Math.max(...parts));said.set(name,outputs[best]);const percent=`${fmt(
100*parts[best],0)} %`;return h("div",{class:"clcr-saying","data-asked":name},h("span",{text:name}),h("strong",{text:outputs[best]}),
h("span",{class:"clcr-bar"},h("i",{style:`width:${100*parts[best]}%`})),h("span",{class:"clcr-number",text:percent}))});
this.sentence.textContent=believed(present,said);this.rows.replaceChildren(...rows,note(through))}};var PATIENCE3=60;var LONGEST=24;var ones=count=>new Uint8Array(count).fill(1);var Workbench=class{constructor(app,model){
this.app=app;this.model=model;this.about=model.about;this.shown="";this.asking=0;this.judged=null;this.clip={sample:"",from:0,
to:0,later:0};this.switches={};this.dots={};this.predictions=new Predictions(app);this.verdict=new Verdict(app);const[vision,
acoustic,language]=["vision","acoustic","language"].map(m=>this.box(m));this.drawing=new Drawing(app,vision,cells=>this.
draw(cells));this.best=h("p",{class:"clcr-guess","aria-hidden":"true"});vision.append(this.best,this.drawingControls());
this.sound=new ClipPanel(app,acoustic,{...this.about,voices:this.valuesOf("voice"),digits:this.valuesOf("label"),bands:this.
about.tones.hertz.length},choice=>this.choose(choice),clip=>this.play(clip));this.word=this.wordBox(language);const says=h(
"section",{class:"clcr-panel","aria-label":"Prediction"},h("h2",{text:"The model says"}));says.append(this.predictions.el);
const whom=h("section",{class:"clcr-panel","aria-label":"Whom the model believes"});whom.append(h("h2",{text:"Whom it be\
lieves"}),this.verdict.el);this.began=note("");this.el=h("div",{class:"clcr-workbench"},...[vision,acoustic,language].map(
box=>box),says,whom);app.toolbar.el.before(note(this.about.about,"clcr-about"),this.cards(),this.el,this.began);app.views.
push(this);app.cleanups.push(()=>clearTimeout(this.asking));app.refresh()}box(modality){const{model}=this;const onchange=event=>{
if(isTicked(event))model.silent.delete(modality);else model.silent.add(modality);model.ask()};const box=h("input",{type:"\
checkbox",checked:true,"aria-label":`${modality} is there`,onchange});this.switches[modality]=box;const dot=h("i",{class:"\
clcr-dot"});this.dots[modality]=dot;const title=h("h2",{},h("label",{class:"clcr-check"},box," ",dot,` ${modality}`));return h(
"section",{class:"clcr-panel","aria-label":modality,"data-input":modality},title)}drawingControls(){const onchange=event=>{
this.drawing.erase=isTicked(event)};const eraser=h("label",{class:"clcr-check"},h("input",{type:"checkbox",onchange})," \
eraser");const clear=button("clear",()=>this.drawing.clear());const back=button("scan",()=>this.restore("vision"));back.
title="back to the sample's scan";return h("div",{class:"clcr-controls"},clear,back,eraser)}wordBox(parent){const{words,
letters}=this.about;const oninput=event=>this.type(inputValue(event));const word=h("input",{class:"clcr-word",type:"text",
"aria-label":"The word",maxlength:LONGEST,oninput});word.setAttribute("autocomplete","off");word.setAttribute("autocapit\
alize","off");word.setAttribute("spellcheck","false");const names=Object.keys(words);const language=h("select",{"aria-la\
bel":"Language"},...names.map(value=>h("option",{value,text:value})));const digit=h("select",{"aria-label":"Digit of the\
 word"},...words.en.map((_,i)=>h("option",{value:i,text:i})));this.language=language;this.digit=digit;const fill=()=>this.
type(words[language.value][Number(digit.value)]);for(const select of[language,digit])select.addEventListener("change",fill);
this.unknown=note("");const back=button("as it was",()=>this.restore("language"));parent.append(word,h("div",{class:"clc\
r-controls"},language,digit,back),this.unknown);parent.append(note(`Letters it knows: ${letters.slice(3).join("")}, é, ü\
. Misspell at will.`));return word}valuesOf(name){const column=this.app.data.table.columns.find(c=>c.name===name);return column?
column.names.filter((_,i)=>Array.from(column.values.v).includes(i)):[]}cards(){const{cards,left_out}=this.about;const items=cards.
map(card=>h("button",{type:"button",class:"clcr-card",onclick:()=>this.apply(card)},h("strong",{text:card.title}),h("spa\
n",{text:card.look})));const all=h("section",{class:"clcr-cards","aria-label":"Try this"},...items);for(const reason of left_out)
all.append(note(reason));return all}apply(card){const{app,model}=this;model.silent=new Set(card.off);this.shown="";app.set(
{selection:[],picked:card.sample,muted:[]});if(card.word!==void 0)this.type(card.word);if(card.clip)this.play(card.clip);
const{gamma,muted,level,modality,space}=card;app.set({gamma,level,modality,space,muted});app.say(`${card.title}. ${card.
look}`)}original(sample,modality){const{inputs}=this.model;return sampleOf(inputs,Math.max(0,inputs.ids.indexOf(sample)))[modality]}draw(cells){
this.model.edit("vision",{size:8,ids:false,mask:ones(8),values:cells})}type(text){const{letters}=this.about;const typed=[
...text.toLowerCase()];const known=typed.filter(letter=>letter&&letters.includes(letter));const unknown=[...new Set(typed.
filter(letter=>!known.includes(letter)))];if(this.unknown)this.unknown.textContent=unknown.length?`It has never seen: ${unknown.
join(" ")}`:"";const values=Float32Array.from(known,letter=>letters.indexOf(letter));this.model.edit("language",{size:1,
ids:true,mask:ones(known.length),values});if(this.word.value!==text)this.word.value=text}choose({voice,digit,next}){const{
data}=this.app;const now=data.rowOf.get(this.clip.sample)??0;const[v,d]=[voice??data.fact("voice",now),digit??data.fact(
"label",now)];const fits=data.ids.filter((_,i)=>data.fact("voice",i)===v&&data.fact("label",i)===d);const sample=fits[next?
(fits.indexOf(this.clip.sample)+1)%fits.length:0];if(!sample)return this.app.say(`No clip of ${v} saying ${d}`);this.play(
{sample,from:0,to:this.original(sample,"acoustic").mask.length,later:0})}play(clip){const{values,size}=this.original(clip.
sample,"acoustic");this.clip=clip;const frames=arranged(clip,values,size);this.model.edit("acoustic",{size,ids:false,mask:ones(
frames.length/size),values:frames})}restore(modality){const{[modality]:_,...others}=this.model.edits;this.model.edits=others;
this.shown="";this.model.ask()}update(){const{app,model}=this;const picked=app.get("picked");if(this.shown!==picked)this.
begin(picked);app.data.table.modalities.forEach((m,i)=>{this.switches[m].checked=!model.silent.has(m);this.dots[m].style.
background=app.theme.modality(i)});this.drawing.update();this.predictions.update();this.best.textContent=this.guess();const whole=model.
whole();if(whole){const{data}=app;const row=data.rowOf.get(this.clip.sample)??0;const length=this.original(this.clip.sample,
"acoustic").mask.length;this.sound.show(this.clip,length,data.fact("voice",row)??"",data.fact("label",row)??"",whole.acoustic.
values)}this.sound.update();const changed=Object.keys(model.edits);const label=app.data.fact("label",app.data.row);this.
began.textContent=`Begun from sample ${picked} of the test part, a ${label}; `+(changed.length?`changed: ${changed.join(
", ")}. Ghosts show where it began.`:"nothing is changed yet.");if(model.pass&&this.judged!==model.pass){this.judged=model.
pass;clearTimeout(this.asking);this.asking=setTimeout(()=>this.judge(),PATIENCE3)}}guess(){const{outputs}=this.app.data.
table;const parts=softmax(this.app.data.answer().prediction);const most=Math.max(...parts);return`${outputs[parts.indexOf(
most)]}
${fmt(100*most,0)} %`}begin(picked){const{model}=this;const whole=model.whole();if(!whole)return;this.shown=picked;if(!model.
edits.vision)this.drawing.lay(whole.vision.values);if(!model.edits.language){this.word.value=Array.from(whole.language.values,
letter=>this.about.letters[letter]).join("");const{data}=this.app;for(const[select,fact]of[[this.language,"language"],[this.
digit,"label"]]){if(select)select.value=data.fact(fact,data.row)??""}}if(!model.edits.acoustic)this.clip={sample:picked,
from:0,to:whole.acoustic.mask.length,later:0}}async judge(){const{app,model}=this;const pass=model.pass;if(!pass)return;
const{sample,outputs}=pass;const present=app.data.table.modalities.filter(m=>sample[m].mask.includes(1));const questions=asked(
present);const network=await model.network;const samples=questions.map(({on})=>only(sample,on));const{prediction}=await network.
run(samples,app.get("gamma"),app.get("muted"));if(model.pass===pass)this.verdict.show(present,questions,prediction,this.
through(present,outputs))}through(present,outputs){const{data}=this.app;const gate=Array.from(outputs.level_gate.v);const level=gate.
indexOf(Math.max(...gate));const name=data.table.levels[level];const heard=present.length>1?mostHeard(outputs,data.table.
modalities,level):null;const text=heard&&data.tokens(heard.modality,level)?.text[heard.token];const whose=heard?`Most he\
ard there: ${heard.modality} token ${heard.token}${text?` (${text})`:""}, by ${heard.listener}.`:"";return`The ${name} l\
evel weighs most (ω ${fmt(gate[level])}). ${whose}`}};var PlaygroundModel=class extends LiveModel{constructor(state,network,about){super(state,network);this.about=about;this.
complete=true;this.edits={};this.silent=new Set;this.pass=null}get edited(){return Object.keys(this.edits).length>0}set(name,value){
if(name==="picked")this.edits={};super.set(name,value)}edit(modality,input){this.edits={...this.edits,[modality]:input};
this.set("muted",this.get("muted").filter(([m,,token])=>m!==modality||token<input.mask.length))}whole(){const row=this.inputs.
ids.indexOf(this.get("picked"));return row<0?null:{...sampleOf(this.inputs,row),...this.edits}}sample(){const whole=this.
whole();if(!whole)return null;const each=Object.entries(whole).map(([m,input])=>[m,this.silent.has(m)?{...input,mask:new Uint8Array(
input.mask.length)}:input]);return Object.fromEntries(each)}take(outputs,sample){const[id,{modalities}]=[this.get("picke\
d"),this.get("_table")];const{letters,hopMs,ranges}=this.about;const texts={vision:Array.from(sample.vision.mask,(_,i)=>`\
row ${i+1}`),acoustic:Array.from(sample.acoustic.mask,(_,i)=>`${i*hopMs} ms`),language:Array.from(sample.language.values,
letter=>letters[letter])};this.pass={sample,outputs};this.set("_block",blockFrom(outputs,id,sample,texts,ranges));this.set(
"_attention",attentionFrom(outputs,id,modalities));super.take(outputs,sample)}sound(){const input=this.sample()?.acoustic;
if(!input?.mask.includes(1))return null;return sing(input.values,this.about.tones)}};async function openPlayground(root,state,packed,wasm,onnx){
const opened=await openModel(state,packed,wasm,onnx);const model=new PlaygroundModel(opened.state,opened.network,opened.
state._playground);await model.ask();const app=new App(model,root,"onnx");new Workbench(app,model);return app}function render({model,el}){const root=document.createElement("div");el.append(root);const app=new App(model,root,"kerne\
l");return()=>app.close()}var index_default={render};export{index_default as default,openLivePage,openPage,openPlayground};
