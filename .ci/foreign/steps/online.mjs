import { issuedInvoice } from "../invoices.mjs";
import { expect, expectSame, heldHash, isKsefNumber, sha256, until } from "../simulator.mjs";
import { ended, lookAtUPO } from "./status.mjs";

/** Sends one invoice in an online session, reads its state, number and UPO. */
export async function sendOnline(witness) {
  const { session, nip } = witness;
  const invoice = issuedInvoice(nip);
  const online = await session.openOnline();
  const reference = await online.send(invoice.xml);
  const sent = await until("invoice decided", async () => {
    const answer = await session.invoice(online.reference, reference);
    return answer.status.code < 200 ? undefined : answer;
  });
  expect(`code of the invoice (${JSON.stringify(sent.status)})`, sent.status.code, 200);
  expect("a KSeF number", isKsefNumber(sent.ksefNumber), true);
  expect("hash of what the simulator holds", await heldHash(sent.ksefNumber), sha256(invoice.xml));
  expect("code of the session before it is closed", (await session.status(online.reference)).status.code, 100);
  await online.close();

  const end = await ended(session, online.reference);
  await lookAtUPO(witness, end, online.reference, [sent]);
  expectSame("invoices in the session's list", (await session.invoices(online.reference, 10)).invoices.map((i) => i.ksefNumber), [sent.ksefNumber]);
  witness.sentOnline = { ...invoice, ksefNumber: sent.ksefNumber, session: online.reference };
  return `sent ${sent.ksefNumber}; state, UPO`;
}
