import { badInvoice, issuedInvoice } from "../invoices.mjs";
import { expect, expectSame, heldHash, sha256 } from "../simulator.mjs";
import { allPages, ended, lookAtUPO } from "./status.mjs";

const parts = 3;

/**
 * Sends good invoices, one that the schema forbids and one that was sent already,
 * as a batch in parts; reads the session, its invoices page by page, those that
 * failed, and the UPO. Each kind of archive that the client makes gets a batch.
 */
export async function sendBatch(witness) {
  const said = [];
  for (const archive of witness.client.archives) said.push(await sendOne(witness, archive));
  return said.join("; ");
}

async function sendOne(witness, archive) {
  const { session, nip, sentOnline } = witness;
  if (!sentOnline) throw new Error("left out: there is no invoice that was sent before");
  const good = Array.from({ length: 12 }, () => issuedInvoice(nip));
  const bad = badInvoice(nip);
  const sent = [...good.slice(0, 6), bad, ...good.slice(6), sentOnline].map((invoice, i) => ({ ...invoice, name: `invoice-${i + 1}.xml` }));
  const byHash = new Map(sent.map((invoice) => [sha256(invoice.xml, "base64"), invoice]));

  const reference = await session.sendBatch(sent, { archive, parts });
  const end = await ended(session, reference);
  expect("counts of the session", [end.invoiceCount, end.successfulInvoiceCount, end.failedInvoiceCount], [14, 12, 2]);

  const pages = await allPages((more) => session.invoices(reference, 10, more));
  expect("sizes of the pages of invoices", pages.map((p) => p.length), [10, 4]);
  const listed = pages.flat();
  expectSame("ordinal numbers", listed.map((i) => i.ordinalNumber), sent.map((_, i) => i + 1));
  for (const i of listed) {
    const invoice = byHash.get(i.invoiceHash);
    expect("file name of the invoice with this hash", i.invoiceFileName, invoice?.name);
    expect(`code of ${i.invoiceFileName}`, i.status.code, invoice.xml === bad.xml ? 450 : invoice === sent.at(-1) ? 440 : 200);
  }
  const failed = (await allPages((more) => session.failed(reference, 10, more))).flat();
  expectSame("names of the failed", failed.map((i) => i.invoiceFileName), [sent[6].name, sent.at(-1).name]);
  const { originalSessionReferenceNumber, originalKsefNumber } = failed.find((i) => i.status.code === 440).status.extensions;
  expect("original of the duplicate", [originalSessionReferenceNumber, originalKsefNumber], [sentOnline.session, sentOnline.ksefNumber]);

  const accepted = listed.filter((i) => i.status.code === 200);
  for (const i of accepted) expect(`hash of ${i.invoiceFileName} in the simulator`, await heldHash(i.ksefNumber), sha256(byHash.get(i.invoiceHash).xml));
  expect("state of one invoice", (await session.invoice(reference, accepted[0].referenceNumber)).ksefNumber, accepted[0].ksefNumber);
  await lookAtUPO(witness, end, reference, accepted);

  const { sessions } = await session.sessions("Batch", 10);
  const own = sessions.find((s) => s.referenceNumber === reference);
  expect("the session in the list of sessions", [own?.status.code, own?.totalInvoiceCount, own?.successfulInvoiceCount, own?.failedInvoiceCount], [200, 14, 12, 2]);
  return `${archive} of 14 invoices in ${parts} parts: 12 accepted, 1 refused, 1 duplicate; lists by page, UPO`;
}
