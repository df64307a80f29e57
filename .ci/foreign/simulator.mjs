// What the witness asks the simulator itself, by the control API: not KSeF's, so
// no client has it. And the few things that every step needs.
import { createHash, randomInt } from "node:crypto";

/** Where the simulator is, without a path. */
export const address = (process.argv[2] ?? "http://127.0.0.1:8081").replace(/\/$/, "");

export const sha256 = (bytes, encoding = "hex") => createHash("sha256").update(bytes).digest(encoding);

export async function control(method, path, body) {
  const answer = await fetch(`${address}/_sim/${path}`, {
    method,
    headers: { "Content-Type": "application/json" },
    body: body && JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`${method} /_sim/${path}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

/** SHA-256 of the invoice that the simulator holds under a KSeF number. */
export async function heldHash(ksefNumber) {
  const answer = await fetch(`${address}/_sim/invoices/${ksefNumber}`);
  if (!answer.ok) throw new Error(`the simulator does not hold ${ksefNumber}: ${answer.status}`);
  return sha256(Buffer.from(await answer.arrayBuffer()));
}

/** Looks until there is something other than undefined. */
export async function until(what, look, { seconds = 60, every = 500 } = {}) {
  for (const end = Date.now() + seconds * 1000; Date.now() < end; ) {
    const found = await look();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, every));
  }
  throw new Error(`${what}: not within ${seconds} s`);
}

export function expect(what, actual, wanted) {
  const [a, w] = [actual, wanted].map((v) => (typeof v === "string" ? v : JSON.stringify(v)));
  if (a !== w) throw new Error(`${what}: got ${a}, want ${w}`);
}

/** Lists that must hold the same, in any order. */
export const expectSame = (what, actual, wanted) => expect(what, [...actual].sort(), [...wanted].sort());

/** A call that must be refused with one of these HTTP statuses. */
export async function expectRefused(what, statuses, call) {
  let answer;
  try {
    answer = await call();
  } catch (error) {
    if (statuses.includes(error.statusCode)) return error;
    throw error;
  }
  throw new Error(`${what}: was not refused, got ${JSON.stringify(answer)}`);
}

export const isKsefNumber = (text) => /^\d{10}-\d{8}-[0-9A-F]{12}-[0-9A-F]{2}$/.test(text ?? "");

export function randomNIP() {
  const weights = [6, 5, 7, 2, 3, 4, 5, 6, 7];
  for (;;) {
    const digits = [5, ...Array.from({ length: 8 }, () => randomInt(1, 10))];
    const check = digits.reduce((sum, digit, i) => sum + digit * weights[i], 0) % 11;
    if (check < 10) return [...digits, check].join("");
  }
}

/** The PESEL of somebody born on 1 January 1990. */
export function randomPESEL() {
  const digits = [9, 0, 0, 1, 0, 1, ...Array.from({ length: 4 }, () => randomInt(0, 10))];
  const sum = digits.reduce((total, digit, i) => total + digit * [1, 3, 7, 9][i % 4], 0);
  return [...digits, (10 - (sum % 10)) % 10].join("");
}
