// What only KSeF's TEST environment has: /testdata.
import { address, expect, expectRefused, expectSame, randomNIP, randomPESEL } from "../simulator.mjs";
import { personal, seal } from "../clients/ksef-client-ts.mjs";

/** Lets another company and a person into this company's context, out again, and blocks the context. */
export async function grantAndBlock({ client, session, nip, method, certificate }) {
  const context = { type: "Nip", value: nip };
  const [otherNIP, pesel] = [randomNIP(), randomPESEL()];
  const guests = [
    [{ type: "Nip", value: otherNIP }, await seal(otherNIP, method)],
    [{ type: "Pesel", value: pesel }, await personal(pesel, method)],
  ];
  for (const [authorizedIdentifier, theirs] of guests) {
    const who = authorizedIdentifier.type;
    const pair = { contextIdentifier: context, authorizedIdentifier };
    const logIn = () => client.loginWithCertificate(address, theirs, nip);

    await expectLoginRefused(`log-in of a stranger by ${who}`, 415, logIn);
    await session.grant({ ...pair, permissions: [{ permissionType: "InvoiceRead", description: "foreign witness" }] });
    const guest = await logIn();
    expectSame(`grants of the guest by ${who}`, (await guest.grants()).map((g) => g.permissionScope), ["InvoiceRead"]);
    await expectRefused("sending by a guest who may only read", [403], () => guest.openOnline());
    await session.withdraw(pair);
    await expectLoginRefused(`log-in by ${who} after the right was withdrawn`, 415, logIn);
  }

  await session.block(context);
  await expectLoginRefused("log-in to a blocked context", 480, () => client.loginWithCertificate(address, certificate, nip));
  await session.unblock(context);
  await client.loginWithCertificate(address, certificate, nip);
  return "a company and a person let in and out, the context blocked and unblocked";
}

/** Changes limits and restores them. */
export async function changeLimits({ session }) {
  const usual = await session.contextLimits();
  const small = { maxInvoiceSizeInMB: 2, maxInvoiceWithAttachmentSizeInMB: 4, maxInvoices: 5 };
  await session.setSessionLimits({ onlineSession: small, batchSession: small });
  expect("limit of invoices after the change", (await session.contextLimits()).onlineSession.maxInvoices, 5);
  await session.restoreSessionLimits();
  expect("limits after they were restored", await session.contextLimits(), usual);

  const rates = await session.rateLimits();
  await session.setRateLimits({ ...rates, invoiceDownload: { perSecond: 7, perMinute: 70, perHour: 700 } });
  expect("rate limit after the change", (await session.rateLimits()).invoiceDownload.perHour, 700);
  await session.restoreRateLimits();
  expect("rate limits after they were restored", await session.rateLimits(), rates);
  return "those of sessions and of requests changed and restored";
}

/** A log-in whose status ends with a code; both clients tell it in the message only. */
async function expectLoginRefused(what, code, logIn) {
  const error = await logIn().then(() => undefined, (e) => e);
  if (!error) throw new Error(`${what}: was not refused`);
  if (!new RegExp(`\\b${code}\\b`).test(error.message)) throw error;
}
