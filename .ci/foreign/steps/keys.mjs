import { address, control, expect, until } from "../simulator.mjs";
import { issuedInvoice } from "../invoices.mjs";
import { seal } from "../clients/ksef-client-ts.mjs";

/**
 * The ministry withdraws its keys just before a session is opened. A client that
 * names the key is refused (21470), takes the new one and goes on; to one that
 * does not, nobody can say so before the session is found unreadable (415).
 */
export async function withdrawKeys({ client, nip, method }) {
  const session = await client.loginWithCertificate(address, await seal(nip, method), nip);
  await control("POST", "faults", { name: "key-withdrawn", operation: "POST /sessions/online" });
  const online = await session.openOnline();
  if (client.namesKeys) {
    await online.send(issuedInvoice(nip).xml);
    await online.close();
  } // an unreadable session may be found so before anything is sent
  const end = await until("session ended", async () => {
    const { status } = await session.status(online.reference);
    return status.code < 200 ? undefined : status;
  });
  expect("code of the session", end.code, client.namesKeys ? 200 : 415);
  return client.namesKeys ? "took the new one and sent" : "its session ended in 415, as it names no key";
}
