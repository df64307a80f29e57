// ksef-client: every method is this client's own API and nothing else. It cannot
// make or read TarGz, neither in a batch nor in an export.
import * as api from "ksef-client";

const formCode = { systemCode: "FA (3)", schemaVersion: "1-0E", value: "FA" };
const poll = { pollIntervalMs: 500, maxAttempts: 120 };

export const name = "ksef-client";
export const archives = ["Zip"];
export const namesKeys = false; // sends publicKeyId

export async function loginWithCertificate(address, certificate, nip) {
  const client = new api.KsefClient({ baseUrl: `${address}/v2` });
  const tokens = await client.workflows.auth.authenticateWithCertificate({
    keyPair: api.XadesKeyPair.fromPem(certificate), context: { type: "Nip", value: nip }, enforceXadesCompliance: true, ...poll,
  });
  client.authManager.setTokens(tokens);
  return loggedIn(client, tokens);
}

export async function loginWithToken(address, token, nip) {
  const client = new api.KsefClient({ baseUrl: `${address}/v2` });
  const tokens = await client.workflows.auth.authenticateWithKsefToken({ token, context: { type: "Nip", value: nip }, ...poll });
  client.authManager.setTokens(tokens);
  return loggedIn(client, tokens);
}

/** KSeF's codes in an error of this client, which takes KSeF's older error format. */
export const codes = (error) => error.responseBody?.exception?.exceptionDetailList?.map((e) => e.exceptionCode);

const loggedIn = (client, tokens, handles = new Map()) => ({
  async openOnline() {
    const online = await client.workflows.sessions.online.open({ formCode, upoV43: true });
    handles.set(online.referenceNumber, online);
    return {
      reference: online.referenceNumber,
      send: async (xml) => (await online.sendInvoice({ invoice: Buffer.from(xml) })).referenceNumber,
      close: () => online.close(),
    };
  },
  async sendBatch(files, { parts }) {
    const zipBytes = await api.createZip(files.map((f) => ({ fileName: f.name, content: Buffer.from(f.xml) })));
    const batch = await client.workflows.sessions.batch.openUploadAndClose({
      formCode, zipBytes, upoV43: true, parallelism: 2, maxPartSizeBytes: Math.ceil(zipBytes.length / parts),
    });
    handles.set(batch.referenceNumber, batch);
    return batch.referenceNumber;
  },

  status: (session) => client.sessions.getSessionStatus(session),
  sessions: (sessionType, pageSize, more) => client.sessions.getSessions({ sessionType, pageSize }, more),
  invoice: (session, invoice) => client.sessions.getSessionInvoiceStatus(session, invoice),
  invoices: (session, pageSize, more) => client.sessions.getSessionInvoices(session, undefined, pageSize, more),
  failed: (session, pageSize, more) => client.sessions.getSessionFailedInvoices(session, pageSize, more),

  upoOfSession: (session, upo) => client.sessions.getSessionUpo(session, upo.referenceNumber),
  upoOfInvoice: (session, invoice) => client.sessions.getSessionInvoiceUpoByReferenceNumber(session, invoice),
  upoOfNumber: (session, number) => client.sessions.getSessionInvoiceUpoByKsefNumber(session, number),
  // By the link in the session's status, without a token. Call it when the session
  // has ended: it takes 150 and 170, a session that is being checked, for a failure.
  upoByLink: (session) => handles.get(session).waitForUpo(poll),
  upoNumbers: (xml) => api.parseUpoXml(xml).dokumenty.map((d) => d.numerKSeFDokumentu),

  find: (filters, page, size) => client.invoices.queryInvoiceMetadata(filters, page, size, "Asc"),
  download: (number) => client.invoices.getInvoice(number),
  async export(filters) {
    const order = await client.workflows.exports.startExport({ filters });
    const status = await client.workflows.exports.waitForExport(order.referenceNumber, poll);
    const unpacked = await client.workflows.exports.downloadAndProcessPackage(status, order.encryptionData, { verifyHashes: true });
    return new Map([
      ...Object.entries(unpacked.invoiceXmlFiles),
      ["_metadata.json", JSON.stringify({ invoices: unpacked.metadataSummaries })],
    ]);
  },
  // Its incremental export always ends with an export of nothing, which has no parts
  // (as in KSeF), and takes that for a broken ZIP.
  exportNew: undefined,
  // Encrypted parts as they come, for a second opinion on them.
  async order(filters) {
    const { referenceNumber, encryptionData } = await client.workflows.exports.startExport({ filters });
    return {
      key: encryptionData.cipherKey, iv: encryptionData.cipherIv,
      status: () => client.invoices.getInvoiceExportStatus(referenceNumber),
    };
  },

  rateLimits: () => client.limits.getRateLimits(),
  contextLimits: () => client.limits.getContextLimits(),
  subjectLimits: () => client.limits.getSubjectLimits(),
  grants: async () => (await client.permissions.queryPersonalGrants({}, 0, 10)).permissions,

  makeToken: (permissions, description) => client.tokens.generateToken({ permissions, description }),
  token: (reference) => client.tokens.getToken(reference),
  tokens: async () => (await client.tokens.listTokens()).tokens,
  revokeToken: (reference) => client.tokens.revokeToken(reference),

  // What only TEST has.
  grant: (request) => client.testdata.grantPermissions(request),
  withdraw: (request) => client.testdata.revokePermissions(request),
  block: (contextIdentifier) => client.testdata.blockContext({ contextIdentifier }),
  unblock: (contextIdentifier) => client.testdata.unblockContext({ contextIdentifier }),
  setSessionLimits: (limits) => client.limits.changeContextSessionLimits(limits),
  restoreSessionLimits: () => client.limits.restoreContextSessionLimits(),
  setRateLimits: (rateLimits) => client.limits.changeRateLimits({ rateLimits }),
  restoreRateLimits: () => client.limits.restoreRateLimits(),

  logins: async () => (await client.activeSessions.listActiveSessions(10)).items,
  revokeLogin: (reference) => client.activeSessions.revokeSession(reference),
  revokeOwnLogin: () => client.activeSessions.revokeCurrentSession(),
  refresh: () => client.auth.refreshAccessToken(tokens.refreshToken.token),
});
