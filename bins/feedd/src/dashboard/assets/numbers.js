// Numbers as the recorder means them, and as people read them. Counters are 64-bit: what a double cannot hold stays text.

// A string of JSON, or a number of it: strings are passed over, so that their digits stay theirs.
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
// Every whole number of 15 digits is exact in a double.
const DIGITS_EXACT = 15;

/// Reads JSON; whole numbers of more than 15 digits become texts of these digits.
export function parse(text) {
  return JSON.parse(text.replace(TOKEN, (token) => (isLong(token) ? `"${token}"` : token)));
}

function isLong(token) {
  return token.length > DIGITS_EXACT && token[0] !== '"' && /^-?\d+$/.test(token);
}

/// 1234567 as "1,234,567", exact for texts of digits, too; none is "–".
export function grouped(value) {
  if (value === null || value === undefined) return "–";
  return String(value).replace(/\B(?=(\d{3})+$)/g, ",");
}

/// Percent of a share: "0 %", "4 %", and "<1 %" for what is little but not nothing.
export function percent(part, whole) {
  const share = Number(whole) > 0 ? (Number(part) / Number(whole)) * 100 : 0;
  if (share > 0 && share < 1) return "<1\u202f%";
  return `${Math.floor(share)}\u202f%`;
}

/// Nanoseconds: "0", "850 ns", "35.2 µs", "14.1 ms", "2.5 s", "3 min 20 s", "5 h 2 min".
export function duration(nanos) {
  const ns = Number(nanos);
  if (nanos === null || nanos === undefined || Number.isNaN(ns)) return "–";
  if (ns === 0) return "0";
  for (const [unit, size] of [["ns", 1], ["µs", 1e3], ["ms", 1e6], ["s", 1e9]]) {
    const top = unit === "s" ? 120e9 : size * 1e3;
    if (ns < top) return `${small(ns / size)}\u202f${unit}`;
  }
  const seconds = Math.floor(ns / 1e9);
  const [days, hours, minutes] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  if (days > 0) return `${days}\u202fd ${hours}\u202fh`;
  if (hours > 0) return `${hours}\u202fh ${minutes}\u202fmin`;
  return `${minutes}\u202fmin ${seconds % 60}\u202fs`;
}

// Three digits are what can be read at a glance; rounded down, so that 999.96 stays below its next unit.
function small(value) {
  return value < 100 && !Number.isInteger(value) ? (Math.floor(value * 10) / 10).toFixed(1) : String(Math.floor(value));
}

/// Bytes: "512 B", "29.3 MB", "4.2 GB".
export function bytes(value) {
  const count = Number(value);
  for (const [unit, size] of [["B", 1], ["kB", 1e3], ["MB", 1e6], ["GB", 1e9], ["TB", 1e12]]) {
    if (count < size * 1e3 || unit === "TB") return `${small(count / size)}\u202f${unit}`;
  }
}

/// Unix nanoseconds as "2026-01-31 12:00:00.123"; none is "–".
export function moment(nanos) {
  if (nanos === null || nanos === undefined) return "–";
  const at = new Date(Number(BigInt(nanos) / 1000000n));
  return Number.isNaN(at.getTime()) ? String(nanos) : at.toISOString().slice(0, 23).replace("T", " ");
}

/// The same without the day.
export function clock(nanos) {
  return moment(nanos).slice(11);
}

/// Nanoseconds from one moment to another; none where one is missing.
export function between(from, to) {
  if (from === null || to === null || from === undefined || to === undefined) return null;
  return String(BigInt(to) - BigInt(from));
}
