// ksef-client-ts: every method is this client's own API and nothing else.
// It offers all that the steps ask for.
import * as api from "ksef-client-ts";

const formCode = { systemCode: "FA (3)", schemaVersion: "1-0E", value: "FA" };
const poll = { intervalMs: 500, maxAttempts: 120 };

export const name = "ksef-client-ts";
export const archives = ["Zip", "TarGz"];
export const namesKeys = true; // sends publicKeyId

/** A self-made company seal: {certificatePem, privateKeyPem}. method is RSA or ECDSA. */
export const seal = (nip, method) =>
  api.CertificateService.generateCompanySeal("Foreign Witness", `VATPL-${nip}`, "Foreign Witness", method);

/** The same for a person. */
export const personal = (pesel, method) =>
  api.CertificateService.generatePersonalCertificate("Jan", "Świadek", `PNOPL-${pesel}`, "Jan Świadek", method);

export async function loginWithCertificate(address, certificate, nip) {
  const client = new api.KSeFClient({ baseUrl: address }); // this client adds /v2 itself
  await client.loginWithCertificate(certificate.certificatePem, certificate.privateKeyPem, nip);
  return loggedIn(client);
}

export async function loginWithToken(address, token, nip) {
  const client = new api.KSeFClient({ baseUrl: address });
  await client.loginWithToken(token, nip);
  return loggedIn(client);
}

/** KSeF's codes in an error of this client, which asks KSeF for problem details. */
export const codes = (error) => error.errors?.map((e) => e.code);

const pack = (archive, files) => (archive === "TarGz" ? api.createTarGz(files) : api.createZip(files));

const loggedIn = (client) => ({
  async openOnline() {
    const online = await api.openOnlineSession(client, { formCode });
    return { reference: online.sessionRef, send: (xml) => online.sendInvoice(xml), close: () => online.close() };
  },
  async sendBatch(files, { archive, parts }) {
    const bytes = await pack(archive, files.map((f) => ({ fileName: f.name, content: Buffer.from(f.xml) })));
    const { sessionRef } = await api.uploadBatch(client, bytes, {
      formCode, pollOptions: poll, parallelism: 2, maxPartSize: Math.ceil(bytes.length / parts),
      ...(archive === "TarGz" && { compressionType: archive }),
    });
    return sessionRef;
  },

  status: (session) => client.sessionStatus.getSessionStatus(session),
  sessions: (type, pageSize, more) => client.sessionStatus.getSessions(type, pageSize, more),
  invoice: (session, invoice) => client.sessionStatus.getSessionInvoice(session, invoice),
  invoices: (session, pageSize, more) => client.sessionStatus.getSessionInvoices(session, pageSize, more),
  failed: (session, pageSize, more) => client.sessionStatus.getSessionFailedInvoices(session, pageSize, more),

  upoOfSession: async (session, upo) => (await client.sessionStatus.getSessionUpo(session, upo.referenceNumber)).upo,
  upoOfInvoice: async (session, invoice) => (await client.sessionStatus.getInvoiceUpoByReference(session, invoice)).upo,
  upoOfNumber: async (session, number) => (await client.sessionStatus.getInvoiceUpoByKsefNumber(session, number)).upo,
  // It hands out the link of a UPO but has no call that follows it.
  upoByLink: undefined,
  upoNumbers: (xml) => api.parseUpoXml(xml).dokumenty.map((d) => d.numerKSeFDokumentu),

  find: (filters, page, size) => client.invoices.queryInvoiceMetadata(filters, page, size, "Asc"),
  download: async (number) => (await client.invoices.getInvoice(number)).xml,
  async export(filters, archive) {
    const { files } = await api.exportAndDownload(client, filters, { extract: true, compressionType: archive, pollOptions: poll });
    return files;
  },
  // What is new since points, which it moves on; the archives' bytes.
  async exportNew(windowFrom, points) {
    const { decryptedParts } = await api.incrementalExportAndDownload(client, {
      subjectType: "Subject2", windowFrom, windowTo: new Date().toISOString(), continuationPoints: points, pollOptions: poll,
    });
    return Buffer.concat(decryptedParts);
  },
  // Encrypted parts as they come, for a second opinion on them.
  async order(filters, archive) {
    await client.crypto.init();
    const { encryptionInfo, cipherKey, cipherIv } = await client.crypto.getEncryptionData();
    const { referenceNumber } = await client.invoices.exportInvoices({ encryption: encryptionInfo, filters, compressionType: archive });
    return { key: cipherKey, iv: cipherIv, status: () => client.invoices.getInvoiceExportStatus(referenceNumber) };
  },

  rateLimits: () => client.limits.getRateLimits(),
  contextLimits: () => client.limits.getContextLimits(),
  subjectLimits: () => client.limits.getSubjectLimits(),
  grants: async () => (await client.permissions.queryPersonalGrants({}, 0, 10)).permissions,

  makeToken: (permissions, description) => client.tokens.generateToken({ permissions, description }),
  token: (reference) => client.tokens.getToken(reference),
  tokens: async () => (await client.tokens.queryTokens()).tokens,
  revokeToken: (reference) => client.tokens.revokeToken(reference),

  // What only TEST has.
  grant: (request) => client.testData.grantPermissions(request),
  withdraw: (request) => client.testData.revokePermissions(request),
  block: (contextIdentifier) => client.testData.blockContext({ contextIdentifier }),
  unblock: (contextIdentifier) => client.testData.unblockContext({ contextIdentifier }),
  setSessionLimits: (limits) => client.testData.changeSessionLimits(limits),
  restoreSessionLimits: () => client.testData.restoreDefaultSessionLimits(),
  setRateLimits: (rateLimits) => client.testData.setRateLimits({ rateLimits }),
  restoreRateLimits: () => client.testData.restoreDefaultRateLimits(),

  logins: async () => (await client.activeSessions.getActiveSessions(10)).items,
  revokeLogin: (reference) => client.activeSessions.revokeSession(reference),
  revokeOwnLogin: () => client.activeSessions.revokeCurrentSession(),
  refresh: () => client.auth.refreshAccessToken(client.authManager.getRefreshToken()),
});
