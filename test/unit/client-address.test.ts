import { expect, test } from "vitest";
import { clientAddress, limitedAddress, normalAddress, trustedProxies } from "../../functions/http/client-address.ts";

const proxies = trustedProxies.parse("10.0.0.0/8, ::1, 2001:db8:1::/48,192.0.2.7");

test.each([
  ["nobody is believed who is no proxy", "203.0.113.9", "198.51.100.1", "203.0.113.9"],
  ["a proxy is believed", "10.1.2.3", "198.51.100.1", "198.51.100.1"],
  [
    "what stands before the first that is no proxy anybody may have written",
    "10.1.2.3",
    "1.1.1.1, 198.51.100.1, 10.9.9.9",
    "198.51.100.1",
  ],
  ["a proxy without the header is the client itself", "10.1.2.3", undefined, "10.1.2.3"],
  ["a chain of nothing but proxies ends at the first", "10.1.2.3", "10.0.0.1, 10.0.0.2", "10.0.0.1"],
  ["what is no address ends the chain", "10.1.2.3", "198.51.100.1, rubbish", "10.1.2.3"],
  ["IPv6 proxies too", "2001:db8:1::5", "2001:db8:ffff::1", "2001:db8:ffff::1"],
  ["an IPv4 proxy that came over IPv6", "::ffff:192.0.2.7", " 198.51.100.1 ", "198.51.100.1"],
  ["a connection that is gone has no address", undefined, "198.51.100.1", "unknown"],
])("%s", (_what, connection, forwarded, expected) => {
  expect(clientAddress(connection, forwarded, proxies)).toBe(expected);
  expect(clientAddress(connection, forwarded, [])).toBe(normalAddress(connection));
});

test("TRUST_PROXY takes addresses and networks, and nothing else", () => {
  for (const bad of ["", "true", "10.0.0.0/33", "10.0.0.0/8,x"])
    expect(trustedProxies.safeParse(bad).success, bad).toBe(false);
});

test("one client of IPv6 has a network of 64 bits, and one of IPv4 an address", () => {
  expect(limitedAddress("2001:db8:1:2:3:4:5:6")).toBe("2001:db8:1:2::/64");
  expect(limitedAddress("2001:db8:1:2:ffff::")).toBe("2001:db8:1:2::/64");
  expect(limitedAddress("198.51.100.1")).toBe("198.51.100.1");
  expect(limitedAddress("unknown")).toBe("unknown");
});
