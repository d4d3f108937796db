import ipaddr from "ipaddr.js";
import { z } from "zod";
import { BoundedMap } from "../../shared/util/bounded-map.ts";

type Network = [ipaddr.IPv4 | ipaddr.IPv6, number];

/** Proxies whose X-Forwarded-For is trusted: addresses and networks, separated by commas. */
export const trustedProxies = z
  .string()
  .transform((text, context) => {
    const networks = text.split(",").map((part) => toNetwork(part.trim()));
    if (networks.includes(undefined)) context.addIssue("must be addresses or networks, such as 10.0.0.0/8,::1");
    return networks.filter((network) => network !== undefined);
  })
  .describe("Proxies whose X-Forwarded-For is trusted: addresses and networks, separated by commas.");

function toNetwork(text: string): Network | undefined {
  if (ipaddr.isValidCIDR(text)) return ipaddr.parseCIDR(text);
  if (!ipaddr.isValid(text)) return undefined;
  const address = ipaddr.parse(text);
  return [address, address.kind() === "ipv4" ? 32 : 128];
}

/** Replaces unknown addresses, which count as one client. */
const UNKNOWN_ADDRESS = "unknown";

/** Number of parsed addresses cached: parsing took 9 us of a request (measured), and clients return. */
const MAX_REMEMBERED = 4096;
/** A longer text is not an address, and is not cached. */
const MAX_TEXT = 64;

function remembered(parse: (text: string) => string): (text: string) => string {
  const known = new BoundedMap<string, string>(MAX_REMEMBERED);
  return (text) => {
    if (text.length > MAX_TEXT) return parse(text);
    const before = known.get(text);
    if (before !== undefined) return before;
    const parsed = parse(text);
    known.set(text, parsed);
    return parsed;
  };
}

const normalised = remembered((text) => (ipaddr.isValid(text) ? ipaddr.process(text).toString() : UNKNOWN_ADDRESS));

/** The canonical form of an address: IPv4-mapped IPv6 addresses become IPv4. */
export const normalAddress = (text: string | undefined): string =>
  text === undefined ? UNKNOWN_ADDRESS : normalised(text);

/**
 * The client's address: that of the connection or, behind trusted proxies, the last untrusted one in X-Forwarded-For.
 * Anyone could have written what precedes it.
 */
export function clientAddress(
  connection: string | undefined,
  forwardedFor: string | undefined,
  trusted: readonly Network[],
): string {
  const isTrusted = (address: string) =>
    address !== UNKNOWN_ADDRESS && trusted.some((network) => isIn(address, network));
  let address = normalAddress(connection);
  const hops = forwardedFor?.split(",") ?? [];
  while (isTrusted(address) && hops.length > 0) {
    const before = normalAddress(hops.pop()?.trim());
    if (before === UNKNOWN_ADDRESS) break;
    address = before;
  }
  return address;
}

function isIn(text: string, [network, bits]: Network): boolean {
  const address = ipaddr.parse(text);
  return address.kind() === network.kind() && address.match(network, bits);
}

/** The unit that limits apply to: an IPv4 address, or an IPv6 /64, which is what one client has. */
export const limitedAddress = remembered((address) => {
  if (!ipaddr.isValid(address)) return address;
  const parsed = ipaddr.parse(address);
  return parsed.kind() === "ipv4"
    ? address
    : `${(parsed as ipaddr.IPv6).parts
        .slice(0, 4)
        .map((p) => p.toString(16))
        .join(":")}::/64`;
});
