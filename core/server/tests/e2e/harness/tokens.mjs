// Tokens, good and bad, made with nothing but Node's own crypto: the hub must not be tested with its own signer.

import { createHmac, sign } from "node:crypto";

export const SECRET = "e2e-only-secret-of-more-than-32-bytes";

const part = (value) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");

export const now = () => Math.floor(Date.now() / 1000);

export const claims = (user, more = {}) => ({
  sub: user,
  name: user[0].toUpperCase() + user.slice(1),
  iat: now(),
  exp: now() + 3600,
  ...more,
});

/** `signer` maps the signing input to a signature; the header is what the caller says, true or not. */
export function token(header, payload, signer) {
  const input = `${part({ typ: "JWT", ...header })}.${part(payload)}`;
  return `${input}.${Buffer.from(signer(input)).toString("base64url")}`;
}

export const hmac = (key, digest = "sha256") => (input) => createHmac(digest, key).update(input).digest();

export const rsa = (privateKey) => (input) => sign("sha256", Buffer.from(input), privateKey);

/** A token the hub accepts. */
export const mint = (user, more) => token({ alg: "HS256" }, claims(user, more), hmac(SECRET));
