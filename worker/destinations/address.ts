import { lookup as resolve, type LookupAddress } from "node:dns";
import { isIP, type LookupFunction } from "node:net";
import ipaddr from "ipaddr.js";

/** A destination may not be at this address. */
export class PrivateAddress extends Error {
  override name = "PrivateAddress";
  constructor() {
    super("its address is private or reserved; ALLOW_PRIVATE_DESTINATIONS=true would allow it");
  }
}

/** The addresses that the internet at large uses (IANA); all others are private, local or reserved. */
const GLOBAL_V6 = ipaddr.IPv6.parseCIDR("2000::/3");
/** Public by its number, but the host's own platform answers there: Azure's wire server. */
const PLATFORM: ReadonlySet<string> = new Set(["168.63.129.16"]);

/**
 * True for an address of the public internet. Anything else would let a destination's URL reach what only this machine
 * reaches: itself, its network, the metadata of its cloud. An address that carries another one (IPv4-mapped) counts as that;
 * the other forms of carrying (NAT64, 6to4, Teredo) are refused.
 */
export function isPublic(address: string): boolean {
  if (!ipaddr.isValid(address)) return false;
  const parsed = ipaddr.process(address);
  if (PLATFORM.has(parsed.toString())) return false;
  if (parsed.range() !== "unicast") return false;
  return parsed instanceof ipaddr.IPv4 || parsed.match(GLOBAL_V6);
}

/**
 * The address that a URL's host is, if it is one and no name.
 * @param hostname as the URL parser returns it: 0x7f.1, 017700000001 and 2130706433 become dotted decimals
 */
export function literalAddress(hostname: string): string | undefined {
  const host = hostname.replace(/^\[|\]$/g, "").replace(/\.$/, "");
  return isIP(host) > 0 ? host : undefined;
}

/**
 * Resolves names as ever, but refuses one that has any address that is not public. It is asked for the very connection that
 * is made, so a name that resolves to something else a moment later (DNS rebinding) gains nothing.
 */
export const publicLookup: LookupFunction = (hostname, options, callback) => {
  resolve(hostname, { ...options, all: true }, (error, addresses: LookupAddress[]) => {
    const [first] = addresses ?? [];
    if (error || !first) return callback(error ?? new Error("the name has no address"), "", 0);
    if (!addresses.every(({ address }) => isPublic(address))) return callback(new PrivateAddress(), "", 0);
    if (options.all) return callback(null, addresses);
    callback(null, first.address, first.family);
  });
};
