// What a session's states say, for online and batch sessions alike.
import { expect, expectSame, until } from "../simulator.mjs";

/** Waits until a session has ended well and gives its state. */
export async function ended(session, reference) {
  const status = await until("session ended", async () => {
    const answer = await session.status(reference);
    return answer.status.code < 200 ? undefined : answer;
  });
  expect(`code of the session (${JSON.stringify(status.status)})`, status.status.code, 200);
  return status;
}

/** Reads all pages of a list of invoices. */
export async function allPages(list) {
  const pages = [];
  for (let more; ; ) {
    const page = await list(more);
    pages.push(page.invoices);
    more = page.continuationToken;
    if (!more) return pages;
    if (pages.length > 20) throw new Error("a list of invoices does not end");
  }
}

/** Reads the UPO of a session, of its first invoice by both ways, and by the links, which need no token. */
export async function lookAtUPO({ session }, status, reference, accepted) {
  const numbers = accepted.map((i) => i.ksefNumber);
  const [first] = accepted;
  const of = (xml) => session.upoNumbers(xml);
  const fetched = async (url) => {
    const answer = await fetch(url);
    expect("status of a UPO by its link", answer.status, 200);
    return answer.text();
  };
  const collective = [];
  const linked = [];
  for (const page of status.upo.pages) {
    collective.push(...of(await session.upoOfSession(reference, page)));
    linked.push(...of(await fetched(page.downloadUrl)));
  }
  expectSame("numbers in the session's UPO", collective, numbers);
  expectSame("numbers in the session's UPO by its link", linked, numbers);
  if (session.upoByLink) expectSame("numbers in the UPO that the client got by the link", of(await session.upoByLink(reference)), numbers);
  expectSame("number in the UPO by invoice", of(await session.upoOfInvoice(reference, first.referenceNumber)), [first.ksefNumber]);
  expectSame("number in the UPO by KSeF number", of(await session.upoOfNumber(reference, first.ksefNumber)), [first.ksefNumber]);
  expectSame("number in the invoice's UPO by its link", of(await fetched(first.upoDownloadUrl)), [first.ksefNumber]);
}
