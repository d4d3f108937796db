import { SignJWT } from "jose";
import { ROLES, type Role } from "../../shared/vocabulary/roles.ts";

export type Tokens = Readonly<Record<Role, string>>;

/** A token for each role, valid for 24 hours. */
export async function signTokens(secret: string): Promise<Tokens> {
  const key = new TextEncoder().encode(secret);
  const signed = ROLES.map(async (role) => {
    const token = new SignJWT({ role }).setProtectedHeader({ alg: "HS256", typ: "JWT" }).setSubject(`demo-${role}`);
    return [role, await token.setIssuedAt().setExpirationTime("24h").sign(key)] as const;
  });
  return Object.fromEntries(await Promise.all(signed)) as Record<Role, string>;
}
