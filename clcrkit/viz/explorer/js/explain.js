// What the words of the explorer mean, for pointer and keyboard.
export const EXPLAIN = {
  level: "Level: how far the encoder has looked. Shallow tokens see their neighbours, deep ones long stretches.",
  gamma: "γ multiplies every budget. Lower it and fewer tokens get a share of the exchange; 1 is as trained.",
  evidence: "Evidence e: the length of a token's shared part. The model asks: how much has it to say to the others?",
  cut: "Cut: the evidence above which a token gets a share. It follows the budget: threshold plus λ over the scale.",
  activation: "Activation v: scale times the evidence above the threshold, both learned. It is what a token asks for.",
  cutoff: "Cut-off λ: what the budget takes from every activation. A token below the line gets nothing.",
  allocation:
    "Allocation α: what a token gets, v − λ, never below 0. It weighs its attention and its part in the summary.",
  budget: "Budget B: tokens' worth of shares that one modality may spend at this level, γ times what was learned.",
  participation: "Participation r: allocated share for each real token, between 0 (silent) and 1 (all take part).",
  prediction: "Prediction: what the model's head says. The small tick is the answer as traced.",
  attention: "Attention: of what a token hears, the part that comes from each token of the other modalities.",
  weighted: "Weighted: attention times the listener's allocation α, which is what really enters the token.",
  levelgate: "Level gate ω: how much each level counts in the codes. The three sum to 1, so each sample is one point.",
  modalitygate: "Modality gate: how much each modality gives to the shared code. The gates sum to 1.",
  privategate:
    "Private gate η: how far each modality's private summary is let in; each lies between 0 and 1 on its own.",
  space:
    "Shared: what modalities can exchange. Private: what each keeps. The codes are what the prediction is made from.",
  projection: "The two directions drawn. PCA keeps the largest spread; UMAP keeps neighbours, not distances.",
  trace: "Trace a is the one of all other views; b, with which it is compared, is turned to lie nearest to it.",
  compare: "Two traces of the same samples: a, which the other views show, and b. Differences are b minus a.",
  changed: "Select the samples whose prediction changed; the others are dimmed, and ‹ › step through these.",
  difference:
    "For each gate and budget share, b minus a, both as traced. Bar: the middle 80 % of the samples; " +
    "tick: their mean; ring: the picked one.",
  gain:
    "Difference in allocation, b minus a: above the line b gives the token more than a does. " +
    "Both at the γ of the slider, and with the same tokens muted.",
  density: "Lines around the densest regions. Where points cover each other, only these tell how many lie there.",
  zoom: "Enlarge the picture around its points. Off, the range is fixed, so that pictures can be compared.",
  probe:
    "A linear classifier reads each target from this space, cross-validated. " +
    "Only what stands above its shuffled control is really there.",
  shuffled: "The same classifier trained on shuffled labels: what the number of samples alone would give.",
  selection: "Click a point, or draw a loop around several. Shift adds to the selection; Esc clears it.",
};

/** What the fields of a trace are called, where a model has none. @type {Record<string, string>} */
const FIELDS = {
  allocation: "budget",
  tokens: "tokens",
  shared: "shared coordinates",
  private: "private coordinates",
  exchanged: "exchange",
  attention: "attention",
  shared_summary: "shared summaries",
  private_summary: "private summaries",
  level_gate: "level gates",
  modality_gate: "modality gates",
  private_gate: "private gates",
  shared_code: "shared code",
  private_code: "private code",
};

/** One sentence on what a trace leaves out. @param {string[]} absent */
export function leftOut(absent) {
  const words = absent.map((name) => FIELDS[name] ?? name);
  const last = words.length > 1 ? ` or ${words[words.length - 1]}` : "";
  const first = last ? words.slice(0, -1).join(", ") : words.join("");
  return `This model has no ${first}${last} to show.`;
}
