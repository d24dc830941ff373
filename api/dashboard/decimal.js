// Exact numbers: counts and costs are whole millionths in a BigInt, so that no sum is ever off by a fraction of a cent.

const DECIMALS = 6;
const ONE = 10n ** BigInt(DECIMALS);

/** "12.5" → 12500000n, "-0.5" → -500000n. The API writes at most six decimals and no exponent. */
export function parse(text) {
  const [whole, fraction = ""] = text.split(".");
  return BigInt(whole + fraction.padEnd(DECIMALS, "0")); // as one number: a whole part of -0 would lose the sign
}

/** 1234500000n → "1,234.5", -500000n → "−0.5": groups of three, only the decimals that are there. */
export function format(value) {
  const sign = value < 0n ? "−" : "";
  const size = value < 0n ? -value : value;
  const whole = (size / ONE).toLocaleString("en");
  const fraction = String(size % ONE).padStart(DECIMALS, "0").replace(/0+$/, "");
  return sign + whole + (fraction && `.${fraction}`);
}

/** For drawing and ratios only: a double has 15 digits. */
export function toNumber(value) {
  return Number(value) / Number(ONE);
}

/** Sum of what is known; null stays out. */
export function sum(values) {
  return values.reduce((total, value) => (value === null ? total : total + value), 0n);
}

/** a / b as a number, or null where b is zero: nothing is divided by zero. */
export function ratio(a, b) {
  return b === 0n ? null : Number(a) / Number(b);
}
