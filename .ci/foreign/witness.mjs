// A foreign witness: KSeF clients published by others, unchanged but for the base
// URL, use this project's KSeF simulator. What they accept, a simulator that merely
// agrees with our own client could not fake.
//
//   node witness.mjs [address]     default http://127.0.0.1:8081
//
// Every client runs twice, with an RSA-2048 and an EC P-256 certificate, all four at
// once and each for a company of its own; later steps use what earlier ones did. A
// line per client, key and step; the exit code is 0 only if all steps went well.
import { readFileSync } from "node:fs";

// The clients may look for a proxy; the simulator is on this machine.
for (const name of ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"]) delete process.env[name];

const tsClient = await import("./clients/ksef-client-ts.mjs");
const nodeClient = await import("./clients/ksef-client.mjs");
const { address, control, expect, randomNIP, sha256 } = await import("./simulator.mjs");
const { receivedInvoice } = await import("./invoices.mjs");
const { sendOnline } = await import("./steps/online.mjs");
const { sendBatch } = await import("./steps/batch.mjs");
const { receive, exportReceived, exportWhatIsNew } = await import("./steps/receive.mjs");
const { grantAndBlock, changeLimits } = await import("./steps/testdata.mjs");
const { withdrawKeys } = await import("./steps/keys.mjs");
const { readLimits, readGrants, useTokens, endLogins } = await import("./steps/account.mjs");

/** Logs in; before that, KSeF gets invoices for the company to receive. */
async function logIn(witness) {
  const { client, nip, method } = witness;
  const invoices = Array.from({ length: 12 }, () => receivedInvoice(nip));
  const seeded = await control("POST", "seed", { buyerNip: nip, invoices: invoices.map((i) => ({ xml: Buffer.from(i.xml).toString("base64") })) });
  witness.received = seeded.invoices;
  expect("hashes that the simulator reports for the seeded invoices", seeded.invoices.map((i) => i.sha256), invoices.map((i) => sha256(i.xml)));
  witness.from = new Date(Date.now() - 86_400_000).toISOString();
  witness.certificate = await tsClient.seal(nip, method);
  witness.session = await client.loginWithCertificate(address, witness.certificate, nip);
  return "logged in";
}

const steps = {
  "log-in": logIn, online: sendOnline, batch: sendBatch,
  query: receive, export: exportReceived, "export of what is new": exportWhatIsNew,
  limits: readLimits, grants: readGrants, tokens: useTokens,
  "rights of others": grantAndBlock, "test limits": changeLimits, "log-ins": endLogins,
};

let [done, failures] = [0, 0];

async function testify(client, method, steps) {
  const { version } = JSON.parse(readFileSync(new URL(`node_modules/${client.name}/package.json`, import.meta.url)));
  const label = `${client.name} ${version} ${method === "RSA" ? "RSA-2048" : "EC P-256"}`;
  const witness = { client, method, nip: randomNIP() };
  for (const [name, step] of Object.entries(steps)) {
    done++;
    try {
      console.log(`foreign: ${label}: ${name}: ${await step(witness)}`);
    } catch (error) {
      failures++;
      console.log(`foreign: ${label}: ${name}: FAILED: ${error.stack ?? error}`);
      for (const part of ["responseBody", "body", "details", "problem", "errors", "cause"])
        if (error?.[part]) console.log(`  ${part}: ${typeof error[part] === "string" ? error[part] : JSON.stringify(error[part])}`);
      if (name === "log-in") return; // nothing else can go well
    }
  }
}

const pairs = [tsClient, nodeClient].flatMap((client) => ["RSA", "ECDSA"].map((method) => [client, method]));
await Promise.all(pairs.map(([client, method]) => testify(client, method, steps)));
// The ministry's keys are everybody's, so this comes one by one, when nobody else is at work.
for (const [client, method] of pairs) await testify(client, method, { "keys withdrawn": withdrawKeys });
console.log(failures === 0 ? "foreign: every witness agrees" : `foreign: ${failures} of ${done} steps failed`);
process.exit(failures === 0 ? 0 : 1);
