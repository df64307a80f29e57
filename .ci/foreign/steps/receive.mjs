import { receivedInvoice } from "../invoices.mjs";
import { control, expect, expectRefused, expectSame, sha256, until } from "../simulator.mjs";
import { fetchPackage, unpack } from "../archive.mjs";

/** Finds the received invoices page by page and downloads some, and one that does not exist. */
export async function receive({ client, session, received, from }) {
  const filters = () => ({ subjectType: "Subject2", dateRange: { dateType: "PermanentStorage", from, to: new Date().toISOString() } });
  const found = await until("received invoices in the metadata", async () => {
    const first = await session.find(filters(), 0, 10);
    if (!first.hasMore) return undefined;
    const second = await session.find(filters(), 1, 10);
    return second.hasMore ? undefined : [first.invoices, second.invoices];
  }, { seconds: 30, every: 4000 });
  expect("sizes of the pages", found.map((p) => p.length), [10, 2]);
  expectSame("hashes in the metadata", found.flat().map((i) => `${i.ksefNumber} ${i.invoiceHash}`),
    received.map((i) => `${i.ksefNumber} ${Buffer.from(i.sha256, "hex").toString("base64")}`));
  for (const invoice of received.slice(0, 3)) {
    expect("hash of the downloaded invoice", sha256(await session.download(invoice.ksefNumber)), invoice.sha256);
  }
  const unknown = received[0].ksefNumber.slice(0, -4) + "0-00";
  const refusal = await expectRefused("download of an unknown number", [400], () => session.download(unknown));
  expect("codes of the refusal", client.codes(refusal), [21164]);
  return "found 12 invoices in 2 pages, downloaded 3; read the code of a refusal";
}

/** Has the client export all, and after one more invoice came, only what is new. */
export async function exportWhatIsNew({ session, received, from, nip }) {
  if (!session.exportNew) return "left out: the client cannot";
  const points = {};
  const all = unpack("Zip", await session.exportNew(from, points));
  compare("the first incremental export", all, received);
  const { xml } = receivedInvoice(nip);
  const { invoices: [late] } = await control("POST", "seed", { buyerNip: nip, invoices: [{ xml: Buffer.from(xml).toString("base64") }] });
  const more = await until("the new invoice in an incremental export", async () => {
    const bytes = await session.exportNew(from, points);
    return bytes.length === 0 ? undefined : unpack("Zip", bytes);
  }, { seconds: 30, every: 2000 });
  compare("the second incremental export", more, [late]);
  return "12 invoices, then the one that came since";
}

/** Exports the received invoices and compares each, by the client and without it. */
export async function exportReceived({ client, session, received, from }) {
  const filters = () => ({ subjectType: "Subject2", dateRange: { dateType: "PermanentStorage", from, restrictToPermanentStorageHwmDate: true } });
  const parts = [];
  for (const archive of client.archives) {
    compare(`the client's ${archive}`, await session.export(filters(), archive), received);

    const order = await session.order(filters(), archive);
    const done = await until("export ready", async () => {
      const answer = await order.status();
      return answer.status.code < 200 ? undefined : answer;
    });
    expect(`code of the export (${JSON.stringify(done.status)})`, done.status.code, 200);
    parts.push(done.package.parts.length);
    expect("number of exported invoices", done.package.invoiceCount, received.length);
    compare(`our ${archive}`, unpack(archive, await fetchPackage(done.package, order.key, order.iv)), received);
  }
  if (Math.max(...parts) < 2) throw new Error(`each export came in one part: start the simulator with a small --export-part-size`);
  return `${client.archives.join(" and ")}: 12 invoices and their metadata in ${parts.join(" and ")} parts, unpacked by the client and without it`;
}

function compare(whose, files, received) {
  const metadata = JSON.parse(Buffer.from(files.get("_metadata.json") ?? "{}").toString("utf8"));
  expectSame(`numbers in the metadata of ${whose}`, (metadata.invoices ?? []).map((i) => i.ksefNumber), received.map((i) => i.ksefNumber));
  expectSame(`files of ${whose}`, files.keys(), ["_metadata.json", ...received.map((i) => `${i.ksefNumber}.xml`)]);
  for (const invoice of received) expect(`hash of ${invoice.ksefNumber} in ${whose}`, sha256(files.get(`${invoice.ksefNumber}.xml`)), invoice.sha256);
}
