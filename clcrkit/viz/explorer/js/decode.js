// From what travels to arrays.
/** @import {Numbers, Packed} from "./types.js" */

const TYPES = { f4: Float32Array, f8: Float64Array, i4: Int32Array, u2: Uint16Array, u1: Uint8Array };

/** @param {any} value @returns {value is Packed} */
const isPacked = (value) => value.dtype !== undefined && value.data !== undefined;

/** The numbers of one array, in memory of their own. @param {Packed} packed @returns {Numbers} */
export function unpack({ dtype, scale, data }) {
  const bytes =
    data instanceof ArrayBuffer ? new Uint8Array(data) : new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const raw = new TYPES[dtype](bytes.slice().buffer);
  return scale ? Float32Array.from(raw, (x) => x * scale) : raw;
}

/**
 * The bytes that a page holds as text.
 * @param {string} text base64
 * @param {CompressionFormat} format
 */
export async function inflate(text, format) {
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream(format))).arrayBuffer();
}

/** A message with every Packed in it replaced by Values. @param {any} value @returns {any} */
export function decode(value) {
  if (Array.isArray(value)) return value.map(decode);
  if (!value || typeof value !== "object" || ArrayBuffer.isView(value)) return value;
  if (isPacked(value)) return { ...value, data: null, v: unpack(value) };
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, decode(inner)]));
}

/**
 * The state of a saved page, each array's bytes put back from the one block that holds them all.
 * @param {any} value
 * @param {ArrayBuffer} blob
 * @returns {any}
 */
export function revive(value, blob) {
  if (Array.isArray(value)) return value.map((inner) => revive(inner, blob));
  if (!value || typeof value !== "object") return value;
  const entries = Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, revive(inner, blob)]));
  if (entries.dtype && entries.at !== undefined) entries.data = new Uint8Array(blob, entries.at, entries.bytes);
  return entries;
}
