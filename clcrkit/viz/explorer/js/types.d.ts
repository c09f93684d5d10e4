// What the modules exchange. The first part mirrors the TypedDicts of ../messages.py, key for key (a test compares
// them); there every array is a Packed, here it is what `decode` makes of one: Values.
/** Any typed array. */
export interface Numbers extends ArrayLike<number>, Iterable<number> {
  subarray(begin?: number, end?: number): Numbers;
}

/** A Packed as the browser reads it: v holds the numbers, the last axis running fastest. */
export interface Values {
  shape: number[];
  v: Numbers;
}

// --- the payload ---------------------------------------------------------------------------------------------------

export interface Packed {
  dtype: "f4" | "f8" | "i4" | "u2" | "u1";
  shape: number[];
  scale?: number;
  data: ArrayBuffer | DataView | Uint8Array;
}

export interface Column {
  name: string;
  kind: "category" | "number";
  names: string[];
  values: Values;
}

export interface Shades {
  categories: string[];
  modalities: string[];
  right: string;
  ink: string;
  warning: string;
  heat: string;
}

export interface Palette {
  light: Shades;
  dark: Shades;
  ramp: number[][];
}

export interface Table {
  ids: string[];
  levels: string[];
  modalities: string[];
  task: "classification" | "regression" | "multilabel";
  outputs: string[];
  gamma: number;
  sparse: boolean;
  epochs: number;
  heads: number;
  audible: string[];
  pictured: string[];
  spaces: string[];
  absent: string[];
  palette: Palette;
  columns: Column[];
  prediction: Values;
  level_gate: Values;
  modality_gate: Values;
  private_gate: Values;
  participation: Record<string, Values>;
  present: Record<string, Values>;
}

export interface Points extends Values {
  reach: number;
}

export interface Lane {
  mask: Values;
  evidence: Values;
  activation: Values;
  budget: Values;
  text: Values;
  truth?: Values;
  features?: Values;
  other?: Values;
  other_budget?: Values;
}

export interface Block {
  ids: string[];
  lanes: Record<string, Lane>;
  texts: string[];
  threshold?: Values;
  scale?: Values;
}

export interface Listener {
  others: [string, number][];
  top: Values;
  weights: Values;
}

export interface Attention {
  ids: string[];
  pool: number;
  levels: number[];
  head: number | null;
  asked: string[];
  of: Record<string, Listener>;
}

export interface Sound {
  ids: string[];
  of: Record<string, (Values | null)[]>;
}

export interface Picture {
  ids: string[];
  of: Record<string, (Values | null)[]>;
}

export interface Answer {
  ids: string[];
  gammas: number[];
  muted?: Mute[];
  place?: Record<string, Place>;
  prediction: Values;
  level_gate: Values;
  modality_gate: Values;
  private_gate: Values;
}

export interface Comparison {
  says: string;
  lacks: string[];
  sparse: boolean;
  gamma: number;
  changed: Values;
  shift: Values;
  distance: Record<string, [left: number, shuffled: number]>;
  prediction: Values;
  level_gate?: Values;
  modality_gate?: Values;
  private_gate?: Values;
  participation: Record<string, Values>;
}

export interface Inputs {
  ids: string[];
  repeats: number;
  tokens: Record<string, Values>;
  masks: Record<string, Values>;
  maps: Record<string, Values>;
}

export interface ProbeRow {
  target: string;
  accuracy: number;
  shuffled: number;
  chance: number;
}

export interface Request {
  probe?: [space: string, level: number, modality: string];
  levels?: boolean;
  find?: string;
}

export interface State {
  views: string[];
  selection: string[];
  picked: string;
  gamma: number;
  level: number;
  modality: string;
  space: string;
  projection: string;
  color: string;
  head: number;
  epoch: number;
  muted: Mute[];
  error: string;
  live: boolean;
  _table: Table;
  _points: Record<string, Record<string, Points>>;
  _block: Block | Record<string, never>;
  _attention: Attention | Record<string, never>;
  _sound: Sound | Record<string, never>;
  _picture: Picture | Record<string, never>;
  _answer: Answer | Record<string, never>;
  _compared: Comparison | Record<string, never>;
  _found: { asked?: string; ids?: string[] };
  _probes: Record<string, ProbeRow[]>;
}

// --- between the modules -------------------------------------------------------------------------------------------

/** A muted token: modality, level, position. */
export type Mute = [modality: string, level: number, token: number];

/**
 * Who answers what is asked of the model: the kernel; nobody, as the answers were computed beforehand; or the model
 * itself, in the page, as ONNX.
 */
export type Driver = "kernel" | "precomputed" | "onnx";

/** Where the state lives: anywidget's model in a notebook, PageModel or LiveModel in a saved page. */
export interface Model {
  get<K extends keyof State>(name: K): State[K];
  set<K extends keyof State>(name: K, value: State[K]): void;
  on(event: string, run: () => void): void;
  off(event: string, run: () => void): void;
  save_changes(): void;
  send(content: Request): void;
  /** Can it show every sample's tokens, as a kernel can? */
  complete?: boolean;
  /** Is the picked sample not what it was, so that its label says nothing? */
  edited?: boolean;
  /** Its sound as a WAV file, where the page makes it. */
  sound?(modality: string): Uint8Array | null;
}

// --- the playground ------------------------------------------------------------------------------------------------

/** A clip: whose sound it is, which of its frames, and after how many frames of silence. */
export interface Clip {
  sample: string;
  from: number;
  to: number;
  later: number;
}

/** How frames become sound: a tone for each band; `floor` dB are 0. */
export interface Tones {
  hertz: number[];
  rate: number;
  hop: number;
  floor: number;
}

export interface Card {
  title: string;
  look: string;
  sample: string;
  word?: string;
  clip?: Clip;
  off: string[];
  gamma: number;
  muted: Mute[];
  level: number;
  modality: string;
  space: string;
  says: string;
}

export interface Playground {
  about: string;
  letters: string[];
  words: Record<string, string[]>;
  hopMs: number;
  latest: number;
  tones: Tones;
  ranges: Record<string, Range>;
  cards: Card[];
  left_out: string[];
}

/** What the model in a page reads of one modality of one sample; `size` values of each token. */
export interface Input {
  size: number;
  ids: boolean;
  mask: Uint8Array;
  values: Float32Array;
}

/** By modality. */
export type Sample = Record<string, Input>;

export type Shape = "circle" | "square" | "triangle" | "diamond" | "plus";

/** How a mark is drawn. */
export interface Look {
  color: string;
  shape: Shape;
}

/** The samples (by position) that share a value, and how they are drawn. */
export interface Group {
  name: string;
  rows: number[];
  look: Look;
}

/** The real tokens of one modality of one sample at one level; every list runs over them. */
export interface Tokens {
  modality: string;
  positions: number[];
  evidence: number[];
  activation: number[];
  muted: boolean[];
  text: string[];
  truth: number[] | null;
  bins: number;
  features: Uint8Array | null;
  threshold: number | null;
  scale: number;
  budget: number;
  /** Of the trace that this one is compared with, where it has them. */
  other: { activation: number[]; budget: number } | null;
}

/** What the budget gives to the tokens of a lane. */
export interface Share {
  budget: number;
  cutoff: number;
  allocation: number[];
}

/** The i-th real token of a modality: the one under the pointer. */
export interface TokenPlace {
  modality: string;
  i: number;
}

/** A token that others may listen to: `at` is its column in the message. */
export interface Speaker extends TokenPlace {
  position: number;
  at: number;
  text: string;
}

/** Attention of the real tokens of one modality (rows) to those of the others (speakers), row by row. */
export interface Weights {
  tokens: Tokens;
  rows: number;
  speakers: Speaker[];
  weights: Float32Array;
}

/** Weights as they are drawn: times the allocation or not, and how much each speaker is listened to in all. */
export interface Drawn extends Weights {
  share: Share;
  others: string[];
  budgeted: boolean;
  weighted: boolean;
  drawn: Float32Array;
  peak: number;
  heard: Float64Array;
}

/** Where the attention view draws: x of listener t, and of speaker j. */
export interface AttentionPlaces {
  left: number;
  top: number;
  rowHeight: number;
  listeners: number;
  speakers: number;
  x(t: number): number;
  k(j: number): number;
}

/** What the model says of one sample at the explorer's gamma, and as traced. */
export interface Saying {
  prediction: Numbers;
  traced: Numbers;
  level_gate: Numbers;
  modality_gate: Numbers;
  private_gate: Numbers;
  place?: Record<string, Place>;
  note: string;
}

export type Gate = "level_gate" | "modality_gate" | "private_gate";
export type Place = [x: number, y: number];
export type Range = [low: number, high: number];

/** Points of a cloud; `layer` tells apart several points of one sample. */
export interface CloudPoints {
  x: Float32Array;
  y: Float32Array;
  sample: Int32Array;
  layer?: Uint8Array;
}

/** What a cloud draws, and when it is to be drawn anew. */
export interface CloudSource {
  key(): string;
  place(width: number, height: number): CloudPoints;
  frame(ctx: CanvasRenderingContext2D, width: number, height: number): void;
  look?(sample: number, layer: number): Look;
  above?(ctx: CanvasRenderingContext2D, width: number, height: number): void;
  /** What `above` draws: parts of which another is there wherever it draws something else. */
  overlay?(): unknown[];
  marks?(width: number, height: number): [x: number, y: number, ghost: boolean][];
  heightAt?(width: number): number;
  animate?: boolean;
  zooms?: boolean;
}

/** One of the four views. */
export interface View {
  el: HTMLElement;
  update(): void;
}
