import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { isPublic, literalAddress } from "../../worker/destinations/address.ts";
import { createSender } from "../../worker/destinations/send.ts";
import { newSecret } from "../../tools/support/receiver.ts";

const BODY = JSON.stringify({ id: "1-0", source: "urn:x" });

test.each([
  ["this host", "127.0.0.1"],
  ["this host, another loopback", "127.8.9.1"],
  ["unspecified", "0.0.0.0"],
  ["this network", "0.1.2.3"],
  ["private, 10/8", "10.1.2.3"],
  ["private, 172.16/12", "172.31.255.255"],
  ["private, 192.168/16", "192.168.0.1"],
  ["shared, carrier-grade NAT", "100.64.0.1"],
  ["metadata of Alibaba", "100.100.100.200"],
  ["link-local and metadata", "169.254.169.254"],
  ["metadata of Oracle", "192.0.0.192"],
  ["wire server of Azure", "168.63.129.16"],
  ["documentation", "203.0.113.7"],
  ["benchmarking", "198.18.0.1"],
  ["multicast", "224.0.0.1"],
  ["broadcast", "255.255.255.255"],
  ["reserved", "240.0.0.1"],
  ["this host, v6", "::1"],
  ["unspecified, v6", "::"],
  ["IPv4-mapped loopback", "::ffff:127.0.0.1"],
  ["IPv4-mapped private, in hex", "::ffff:a00:1"],
  ["IPv4-mapped metadata", "::ffff:169.254.169.254"],
  ["IPv4-compatible loopback", "::127.0.0.1"],
  ["link-local, v6", "fe80::1"],
  ["link-local with a zone", "fe80::1%eth0"],
  ["unique local", "fd00:ec2::254"],
  ["site-local", "fec0::1"],
  ["NAT64 of a private one", "64:ff9b::10.0.0.1"],
  ["6to4 of a private one", "2002:0a00:0001::1"],
  ["Teredo", "2001:0:4136:e378:8000:63bf:3fff:fdd2"],
  ["documentation, v6", "2001:db8::1"],
  ["multicast, v6", "ff02::1"],
  ["no address", "localhost"],
])("%s (%s) is refused", (_what, address) => expect(isPublic(address)).toBe(false));

test.each(["1.1.1.1", "93.184.216.34", "172.32.0.1", "2606:4700:4700::1111", "::ffff:8.8.8.8"])(
  "%s is public",
  (address) => expect(isPublic(address)).toBe(true),
);

test.each([
  ["http://2130706433/", "127.0.0.1"],
  ["http://0x7f.1/", "127.0.0.1"],
  ["http://0177.0.0.1/", "127.0.0.1"],
  ["http://017700000001/", "127.0.0.1"],
  ["http://127.1/", "127.0.0.1"],
  ["http://127.0.0.1./", "127.0.0.1"],
  ["http://[::ffff:127.0.0.1]/", "::ffff:7f00:1"],
  ["http://[::1]:80/", "::1"],
  ["http://127。0。0。1/", "127.0.0.1"],
  ["http://localhost/", undefined],
  ["http://10.example.org/", undefined],
])("%s names the address %s", (url, address) => expect(literalAddress(new URL(url).hostname)).toBe(address));

test.each(["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433", "127.0.0.1."])(
  "a request to %s makes no connection",
  async (host) => {
    let connections = 0;
    const server = createServer((_request, response) => response.end());
    server.on("connection", () => (connections += 1));
    await new Promise<void>((resolve) => server.listen(0, resolve));
    onTestFinished(() => void server.close());
    const url = `http://${host}:${(server.address() as AddressInfo).port}/`;
    const target = { url, secrets: [newSecret()], headers: {}, timeoutMs: 2000 };
    const sender = createSender(target, false, 1);
    onTestFinished(() => sender.close());
    expect(await sender.send(BODY)).toMatchObject({
      result: "failed",
      reason: expect.stringMatching(/^its address is private/),
    });
    expect(connections).toBe(0);
    // The same server can be reached where that is allowed.
    const allowed = createSender({ ...target, url: `http://127.0.0.1:${new URL(url).port}/` }, true, 1);
    onTestFinished(() => allowed.close());
    expect(await allowed.send(BODY)).toEqual({ result: "ok", status: 200 });
  },
);
