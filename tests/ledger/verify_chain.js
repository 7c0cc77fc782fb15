// A second verifier of a subject's chain, written from docs/ledger.md alone; Node's standard library and nothing else.
// Standard input: one JSON object a line, {"keys": {id: hex}, "subject": ..., "lines": [...]}.
// Standard output: for each, {"canonical": [...], "hmac": [...], "rows", "tip", "verified", "error"}.
"use strict";
const crypto = require("node:crypto");
const readline = require("node:readline");

function canonical(value) {
  if (Array.isArray(value)) return "[" + value.map(canonical).join(",") + "]";
  if (value !== null && typeof value === "object") {
    // Array.prototype.sort compares UTF-16 code units, as RFC 8785 asks for.
    return "{" + Object.keys(value).sort().map((key) => JSON.stringify(key) + ":" + canonical(value[key])).join(",") + "}";
  }
  return JSON.stringify(value);
}

const TIME = /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{9}Z$/;

function check({ keys, subject, lines }) {
  const found = { canonical: [], hmac: [], rows: 0, tip: "0".repeat(64), verified: true, error: "" };
  for (const [index, line] of lines.entries()) {
    const number = index + 1;
    const fail = (reason) => Object.assign(found, { verified: false, error: `row ${number} ${reason}` });
    let row;
    try {
      row = JSON.parse(line);
    } catch {
      return fail("has not the form of a row");
    }
    const { hmac, ...rest } = row;
    const text = canonical(rest);
    if (!TIME.test(row.time)) return fail("has not the form of a row");
    if (line !== text.slice(0, -1) + `,"hmac":"${hmac}"}`) return fail("has not the form of a row");
    if (!(row.key_id in keys)) return fail(`was written with the key ${row.key_id}, which is not here`);
    const mac = crypto.createHmac("sha256", Buffer.from(keys[row.key_id], "hex")).update(text, "utf8").digest("hex");
    if (mac !== hmac) return fail("has an HMAC that does not fit its bytes");
    if (row.subject !== subject) return fail(`belongs to ${JSON.stringify(row.subject)}`);
    if (row.prev !== found.tip || row.seq !== number) return fail("does not follow the row before it");
    found.canonical.push(text);
    found.hmac.push(mac);
    found.tip = mac;
    found.rows = number;
  }
  return found;
}

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  process.stdout.write(JSON.stringify(check(JSON.parse(line))) + "\n");
});
