// A foreign witness: KSeF clients published by others, unchanged but for the base
// URL, log in to this project's KSeF simulator, send an invoice and download one.
// What they accept, a simulator that merely agrees with our own client could not fake.
//
//   node witness.mjs [address]     default http://127.0.0.1:8081
//
// Every client runs twice, with an RSA-2048 and an EC P-256 certificate. Exit code 0
// only if each of them logged in, got a KSeF number and a UPO for what it sent,
// and downloaded the seeded invoice with its bytes unchanged.
import { createHash, randomInt } from "node:crypto";
import { readFileSync } from "node:fs";
import * as tsClient from "ksef-client-ts";
import * as nodeClient from "ksef-client";
import { receivedInvoice, issuedInvoice } from "./invoices.mjs";

// The clients may look for a proxy; the simulator is on this machine.
for (const name of ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"]) delete process.env[name];

const address = (process.argv[2] ?? "http://127.0.0.1:8081").replace(/\/$/, "");
const baseUrl = `${address}/v2`;
const fa3 = { systemCode: "FA (3)", schemaVersion: "1-0E", value: "FA" };
const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");
const version = (name) =>
  JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, import.meta.url))).version;

// Each session below is the client's own API and nothing else.
const clients = {
  "ksef-client-ts": {
    base: address, // this client adds /v2 itself
    async login(certificate, nip) {
      const client = new tsClient.KSeFClient({ baseUrl: this.base });
      await client.loginWithCertificate(certificate.certificatePem, certificate.privateKeyPem, nip);
      return {
        async send(xml) {
          const session = await tsClient.openOnlineSession(client, { formCode: fa3 });
          const reference = await session.sendInvoice(xml);
          const status = await until("invoice accepted", async () => {
            const s = await client.sessionStatus.getSessionInvoice(session.sessionRef, reference);
            return decided(s.status, s);
          });
          await session.close();
          const upo = await session.waitForUpoParsed({ intervalMs: 500, maxAttempts: 120 });
          return { ksefNumber: status.ksefNumber, upoNumbers: upo.parsed.flatMap((p) => p.dokumenty.map((d) => d.numerKSeFDokumentu)) };
        },
        download: async (number) => (await client.invoices.getInvoice(number)).xml,
        async find(from, to) {
          const page = await client.invoices.queryInvoiceMetadata(
            { subjectType: "Subject2", dateRange: { dateType: "PermanentStorage", from, to } }, 0, 100, "Asc");
          return page.invoices.map((i) => i.ksefNumber);
        },
      };
    },
  },
  "ksef-client": {
    base: baseUrl,
    async login(certificate, nip) {
      const client = new nodeClient.KsefClient({ baseUrl: this.base });
      const keyPair = nodeClient.XadesKeyPair.fromPem(certificate);
      client.authManager.setTokens(
        await client.workflows.auth.authenticateWithCertificate({
          keyPair, context: { type: "Nip", value: nip }, pollIntervalMs: 500, maxAttempts: 60, enforceXadesCompliance: true,
        }));
      return {
        async send(xml) {
          const session = await client.workflows.sessions.online.open({ formCode: fa3, upoV43: true });
          const { referenceNumber } = await session.sendInvoice({ invoice: Buffer.from(xml) });
          const status = await until("invoice accepted", async () => {
            const s = await client.sessions.getSessionInvoiceStatus(session.referenceNumber, referenceNumber);
            return decided(s.status, s);
          });
          await session.close();
          const upo = await until("session's UPO", async () => {
            const s = await session.status();
            return s.status.code === 200 ? client.sessions.getSessionUpo(session.referenceNumber, s.upo.pages[0].referenceNumber) : undefined;
          });
          return { ksefNumber: status.ksefNumber, upoNumbers: nodeClient.parseUpoXml(upo).dokumenty.map((d) => d.numerKSeFDokumentu) };
        },
        download: (number) => client.invoices.getInvoice(number),
        async find(from, to) {
          const page = await client.invoices.queryInvoiceMetadata(
            { subjectType: "Subject2", dateRange: { dateType: "PermanentStorage", from, to } }, 0, 100, "Asc");
          return page.invoices.map((i) => i.ksefNumber);
        },
      };
    },
  },
};

function decided(status, answer) {
  if (status.code === 200) return answer;
  if (status.code < 200) return undefined;
  throw new Error(`invoice refused: ${status.code} ${status.description} ${(status.details ?? []).join("; ")}`);
}

async function until(what, look, seconds = 60) {
  for (const end = Date.now() + seconds * 1000; Date.now() < end; ) {
    const found = await look();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  throw new Error(`${what}: not within ${seconds} s`);
}

async function control(method, path, body) {
  const answer = await fetch(`${address}/_sim/${path}`, {
    method,
    headers: { "Content-Type": "application/json" },
    body: body && JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`${method} /_sim/${path}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

function randomNIP() {
  const weights = [6, 5, 7, 2, 3, 4, 5, 6, 7];
  for (;;) {
    const digits = [5, ...Array.from({ length: 8 }, () => randomInt(1, 10))];
    const check = digits.reduce((sum, digit, i) => sum + digit * weights[i], 0) % 11;
    if (check < 10) return [...digits, check].join("");
  }
}

function expect(what, actual, wanted) {
  if (actual !== wanted) throw new Error(`${what}: got ${actual}, want ${wanted}`);
}

async function testify(name, method) {
  const nip = randomNIP();
  const received = receivedInvoice(nip);
  const seeded = await control("POST", "seed", { buyerNip: nip, invoices: [{ xml: Buffer.from(received.xml).toString("base64") }] });
  const want = seeded.invoices[0];
  expect("hash that the simulator reports for the seeded invoice", want.sha256, sha256(received.xml));

  const seal = await tsClient.CertificateService.generateCompanySeal("Foreign Witness", `VATPL-${nip}`, "Foreign Witness", method);
  const from = new Date(Date.now() - 86_400_000).toISOString();
  const session = await clients[name].login(seal, nip);

  const issued = issuedInvoice(nip);
  const sent = await session.send(issued.xml);
  if (!/^\d{10}-\d{8}-[0-9A-F]{12}-[0-9A-F]{2}$/.test(sent.ksefNumber ?? "")) throw new Error(`no KSeF number in the answer: ${sent.ksefNumber}`);
  expect("number in the UPO", sent.upoNumbers.join(), sent.ksefNumber);
  const kept = (await control("GET", "invoices")).invoices.find((i) => i.ksefNumber === sent.ksefNumber);
  expect("hash of what the simulator received", kept?.sha256, sha256(issued.xml));

  await until("seeded invoice in the metadata", async () =>
    (await session.find(from, new Date().toISOString())).includes(want.ksefNumber) || undefined, 30);
  expect("hash of the downloaded invoice", sha256(await session.download(want.ksefNumber)), want.sha256);
  return `logged in, sent ${sent.ksefNumber} with UPO, downloaded ${want.ksefNumber}`;
}

let failures = 0;
for (const name of Object.keys(clients)) {
  for (const method of ["RSA", "ECDSA"]) {
    const label = `${name} ${version(name)} ${method === "RSA" ? "RSA-2048" : "EC P-256"}`;
    try {
      console.log(`foreign: ${label}: ${await testify(name, method)}`);
    } catch (error) {
      failures++;
      console.log(`foreign: ${label}: FAILED: ${error.stack ?? error}`);
      for (const part of ["responseBody", "body", "details", "problem", "cause"])
        if (error?.[part]) console.log(`  ${part}: ${typeof error[part] === "string" ? error[part] : JSON.stringify(error[part])}`);
    }
  }
}
console.log(failures === 0 ? "foreign: every witness agrees" : `foreign: ${failures} of 4 witnesses failed`);
process.exit(failures === 0 ? 0 : 1);
