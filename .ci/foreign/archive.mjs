// A second opinion on export packages: parts are decrypted and archives unpacked
// by Node's own cryptography and compression, without any client.
import { createDecipheriv } from "node:crypto";
import { gunzipSync, inflateRawSync } from "node:zlib";
import { expect, sha256 } from "./simulator.mjs";

/** Fetches the parts by their links, without a token; checks sizes and hashes; gives the archive. */
export async function fetchPackage({ parts }, key, iv) {
  const plain = [];
  for (const part of [...parts].sort((a, b) => a.ordinalNumber - b.ordinalNumber)) {
    const answer = await fetch(part.url, { method: part.method });
    expect(`status of the download of ${part.partName}`, answer.status, 200);
    const encrypted = Buffer.from(await answer.arrayBuffer());
    expect(`hash of encrypted ${part.partName}`, sha256(encrypted, "base64"), part.encryptedPartHash);
    expect(`size of encrypted ${part.partName}`, encrypted.length, part.encryptedPartSize);
    const decipher = createDecipheriv("aes-256-cbc", key, iv);
    const bytes = Buffer.concat([decipher.update(encrypted), decipher.final()]);
    expect(`hash of ${part.partName}`, sha256(bytes, "base64"), part.partHash);
    expect(`size of ${part.partName}`, bytes.length, part.partSize);
    plain.push(bytes);
  }
  return Buffer.concat(plain);
}

export const unpack = (archive, bytes) => (archive === "TarGz" ? untar(gunzipSync(bytes)) : unzip(bytes));

// By the central directory, as the ZIP format asks readers to do.
function unzip(bytes) {
  const files = new Map();
  const end = bytes.lastIndexOf(Buffer.from("PK\x05\x06", "latin1"));
  if (end < 0) throw new Error("export package: no end of a ZIP's central directory");
  for (let at = bytes.readUInt32LE(end + 16), n = bytes.readUInt16LE(end + 10); n > 0; n--) {
    const method = bytes.readUInt16LE(at + 10);
    const [packed, size] = [bytes.readUInt32LE(at + 20), bytes.readUInt32LE(at + 24)];
    const [name, extra, comment] = [28, 30, 32].map((field) => bytes.readUInt16LE(at + field));
    const local = bytes.readUInt32LE(at + 42);
    const start = local + 30 + bytes.readUInt16LE(local + 26) + bytes.readUInt16LE(local + 28);
    const raw = bytes.subarray(start, start + packed);
    const content = method === 0 ? raw : inflateRawSync(raw);
    const fileName = bytes.toString("utf8", at + 46, at + 46 + name);
    expect(`size of ${fileName}`, content.length, size);
    files.set(fileName, content);
    at += 46 + name + extra + comment;
  }
  return files;
}

// Names up to 100 characters, which those of an export are.
function untar(bytes) {
  const text = (at, length) => bytes.toString("utf8", at, at + length).replace(/\0.*$/s, "");
  const files = new Map();
  for (let at = 0; at < bytes.length && bytes[at] !== 0; ) {
    const size = parseInt(text(at + 124, 12), 8);
    const type = text(at + 156, 1);
    if (type === "0" || type === "") files.set(text(at, 100), bytes.subarray(at + 512, at + 512 + size));
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return files;
}
