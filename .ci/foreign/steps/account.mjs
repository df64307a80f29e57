import { address, control, expect, expectRefused, expectSame, until } from "../simulator.mjs";
import { issuedInvoice } from "../invoices.mjs";
import { ended } from "./status.mjs";

/** Reads the limits: those of production, as published. */
export async function readLimits({ session }) {
  const rates = await session.rateLimits();
  const shown = (group) => ["perSecond", "perMinute", "perHour"].map((window) => rates[group]?.[window]);
  expect("limit of metadata queries", shown("invoiceMetadata"), [8, 16, 20]);
  expect("limit of online sessions", shown("onlineSession"), [10, 30, 120]);
  expect("limit of downloads", shown("invoiceDownload"), [8, 16, 64]);
  const context = await session.contextLimits();
  for (const kind of ["onlineSession", "batchSession"]) {
    const { maxInvoiceSizeInMB, maxInvoiceWithAttachmentSizeInMB, maxInvoices } = context[kind];
    expect(`limits of ${kind}`, [maxInvoiceSizeInMB, maxInvoiceWithAttachmentSizeInMB, maxInvoices], [1, 3, 10000]);
  }
  const subject = await session.subjectLimits();
  expect("limits of the subject", [subject.enrollment?.maxEnrollments, subject.certificate?.maxCertificates], [300, 100]);
  return "rates, context, subject";
}

/** Asks for the own rights: an owner's are no grants, those that were given are. */
export async function readGrants({ session, nip }) {
  expect("grants of an owner", await session.grants(), []);
  await control("POST", "permissions", { nip, permissions: ["InvoiceRead", "InvoiceWrite"] });
  try {
    expectSame("grants", (await session.grants()).map((g) => g.permissionScope), ["InvoiceRead", "InvoiceWrite"]);
  } finally {
    await control("POST", "permissions", { nip, permissions: null });
  }
  return "none as the owner, two as given";
}

/** Logs in with a KSeF token that may read and write, sends by it; then with one that may only read. */
export async function useTokens({ client, nip }) {
  const token = (permissions) => control("POST", "tokens", { nip, permissions });
  const both = await token(["InvoiceRead", "InvoiceWrite"]);
  const writer = await client.loginWithToken(address, both.token, nip);
  const online = await writer.openOnline();
  const invoice = await online.send(issuedInvoice(nip).xml);
  await online.close();
  const [page] = (await ended(writer, online.reference)).upo.pages;
  const upo = await writer.upoOfSession(online.reference, page);
  expect("token in the UPO", upo.match(/<(?:\w+:)?NumerReferencyjnyTokenaKSeF>([^<]*)</)?.[1], both.referenceNumber);
  expect("code of the invoice", (await writer.invoice(online.reference, invoice)).status.code, 200);

  const reader = await client.loginWithToken(address, (await token(["InvoiceRead"])).token, nip);
  await expectRefused("sending with a token that may only read", [403], () => reader.openOnline());
  return "logged in by two, sent by one, refused to send by the other";
}

/** Lists the log-ins, ends another one and at last the own one: a refresh is then refused. */
export async function endLogins({ client, session, nip, certificate }) {
  const other = await client.loginWithCertificate(address, certificate, nip);
  expect("a refreshed access token", typeof (await other.refresh()).accessToken.token, "string");
  const current = async (s) => (await s.logins()).find((l) => l.isCurrent)?.referenceNumber;
  const [own, others] = [await current(session), await current(other)];
  const listed = await session.logins();
  for (const reference of [own, others]) expect(`log-in ${reference} in the list`, listed.some((l) => l.referenceNumber === reference), true);
  expect("two different log-ins", own !== others, true);

  await session.revokeLogin(others);
  await expectRefused("refresh of the log-in that was ended", [400, 401], () => other.refresh());
  expect("the ended log-in in the list", (await session.logins()).some((l) => l.referenceNumber === others), false);
  await session.refresh();
  await session.revokeOwnLogin();
  await expectRefused("refresh of the own log-in after its end", [400, 401], () => session.refresh());
  return "listed, another and the own one ended";
}
