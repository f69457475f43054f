/** Images behind addresses: what is fetched, and that nobody reaches through the server what is not his to reach. */
import { readFileSync } from "node:fs";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { goldenModels } from "../../testing/golden-model.ts";
import { ImageFetcher, type ImageFetcherOptions } from "./fetch.ts";
import { ImageHosts, isPublicAddress } from "./hosts.ts";

const picture = readFileSync(`${goldenModels}/../images/tall.png`);
const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

/** Listens at an address of this machine. -> its port */
async function listening(answer: RequestListener, { address = "127.0.0.1", port = 0 } = {}): Promise<number> {
  const server = createServer(answer);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(port, address, resolve));
  return (server.address() as AddressInfo).port;
}

const sendPicture: RequestListener = (_, response) => {
  response.writeHead(200, { "content-type": "image/png" }).end(picture);
};
/** Says which host was asked for. */
const resolverOf = (addresses: Record<string, string[]>) => {
  const asked: string[] = [];
  const resolve = async (host: string) => {
    asked.push(host);
    return (addresses[host] ?? []).map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));
  };
  return { asked, resolve };
};
const fetched = (url: string, options: ImageFetcherOptions, signal = new AbortController().signal) =>
  new ImageFetcher(options).fetch(new URL(url), "url", signal);
const refusal = { status: 400, body: { error: { param: "url", code: "image_url_not_allowed" } } };
const noImage = { status: 400, body: { error: { param: "url", code: "invalid_image" } } };

describe("what is fetched", () => {
  test("an image of a private host that is named, at the address that was looked up, once", async () => {
    const hosts: (string | undefined)[] = [];
    const port = await listening((request, response) => {
      hosts.push(request.headers.host);
      sendPicture(request, response);
    });
    const { asked, resolve } = resolverOf({ "images.test": ["127.0.0.1"] });
    const options = { imagePrivateHosts: [`images.test:${port}`], resolve };
    expect(await fetched(`http://images.test:${port}/a.png`, options)).toEqual(picture);
    expect(hosts).toEqual([`images.test:${port}`]);
    expect(asked).toEqual(["images.test"]);
  });

  test("redirects, each of which is looked up", async () => {
    const port = await listening((request, response) => {
      if (request.url === "/a.png") sendPicture(request, response);
      else response.writeHead(302, { location: request.url === "/1" ? "/2" : `http://b.test:${port}/a.png` }).end();
    });
    const { asked, resolve } = resolverOf({ "a.test": ["127.0.0.1"], "b.test": ["127.0.0.1"] });
    const options = { imagePrivateHosts: [`a.test:${port}`, `b.test:${port}`], resolve };
    expect(await fetched(`http://a.test:${port}/1`, options)).toEqual(picture);
    expect(asked).toEqual(["a.test", "a.test", "b.test"]);
  });
});

describe("what is not asked", () => {
  test("anything, unless hosts are named", async () => {
    await expect(fetched("https://example.org/a.png", {})).rejects.toMatchObject(refusal);
  });

  test.each([
    "http://127.0.0.1/",
    "http://2130706433/", // in one number
    "http://0x7f.1/",
    "http://0177.0.0.1/", // octal
    "http://127.1/",
    "http://0.0.0.0/",
    "http://10.1.2.3/",
    "http://172.16.0.1/",
    "http://192.168.1.1/",
    "http://169.254.169.254/latest/meta-data", // of clouds
    "http://100.64.0.1/",
    "http://192.0.2.1/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "http://[::1]/",
    "http://[::]/",
    "http://[::ffff:127.0.0.1]/", // IPv4 within IPv6
    "http://[::ffff:7f00:1]/",
    "http://[::127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/", // NAT64
    "http://[64:ff9b:1::7f00:1]/",
    "http://[2002:7f00:1::]/", // 6to4
    "http://[2001:0:7f00:1::]/", // Teredo
    "http://[fe80::1]/",
    "http://[fec0::1]/",
    "http://[fd00::1]/",
    "http://[ff02::1]/",
    "http://[2001:db8::1]/",
  ])("an address that is not public: %s", async (url) => {
    await expect(fetched(url, { imageHosts: ["*"] })).rejects.toMatchObject(refusal);
  });

  test.each([[["127.0.0.1"]], [["93.184.215.14", "10.0.0.1"]], [["::ffff:10.0.0.1"]], [["not an address"]], [[]]])(
    "a name with such an address: %j",
    async (addresses) => {
      const { resolve } = resolverOf({ "images.test": addresses });
      await expect(fetched("http://images.test/a.png", { imageHosts: ["*"], resolve })).rejects.toMatchObject(refusal);
    },
  );

  test.each(["ftp://images.test/", "file:///etc/passwd", "http://user@images.test/", "http://:word@images.test/"])(
    "what is no plain address: %s",
    async (url) => {
      const { asked, resolve } = resolverOf({ "images.test": ["93.184.215.14"] });
      await expect(fetched(url, { imageHosts: ["*"], resolve })).rejects.toMatchObject(refusal);
      expect(asked).toEqual([]);
    },
  );

  test("a host or a port that is not named", async () => {
    const { asked, resolve } = resolverOf({});
    const options = { imageHosts: ["images.test", ".example.org"], imagePrivateHosts: ["10.0.0.5:9000"], resolve };
    for (const url of ["http://other.test/", "http://images.test:8080/", "http://images.test.evil.test/"])
      await expect(fetched(url, options)).rejects.toMatchObject(refusal);
    for (const url of ["http://notexample.org/", "http://10.0.0.5/", "http://10.0.0.5:22/"])
      await expect(fetched(url, options)).rejects.toMatchObject(refusal);
    expect(asked).toEqual([]);
  });

  test("where a redirect leads within this network", async () => {
    let reached = 0;
    const inner = await listening(() => reached++);
    const port = await listening((request, response) => {
      response.writeHead(302, { location: decodeURIComponent(request.url?.slice(1) ?? "") }).end();
    });
    const { resolve } = resolverOf({ "images.test": ["127.0.0.1"], "rebound.test": ["127.0.0.1"] });
    const options = { imageHosts: ["*", `*:${inner}`], imagePrivateHosts: [`images.test:${port}`], resolve };
    for (const url of [`http://127.0.0.1:${inner}/`, `http://[::ffff:127.0.0.1]:${inner}/`, "file:///etc/passwd"])
      await expect(fetched(`http://images.test:${port}/${encodeURIComponent(url)}`, options)).rejects.toMatchObject(
        refusal,
      );
    const rebound = encodeURIComponent(`http://rebound.test:${inner}/`);
    await expect(fetched(`http://images.test:${port}/${rebound}`, options)).rejects.toMatchObject(refusal);
    expect(reached).toBe(0);
  });

  test("another address than the one that was checked, when a name is pointed elsewhere meanwhile", async () => {
    let reached = 0;
    const port = await listening(sendPicture);
    await listening(() => reached++, { address: "127.0.0.2", port });
    const answers = ["127.0.0.1", "127.0.0.2"];
    const resolve = async () => [{ address: answers.shift() as string, family: 4 }];
    const options = { imagePrivateHosts: [`images.test:${port}`], resolve };
    expect(await fetched(`http://images.test:${port}/`, options)).toEqual(picture);
    expect(answers).toEqual(["127.0.0.2"]);
    expect(reached).toBe(0);
  });
});

describe("what comes back", () => {
  const from = async (answer: RequestListener, more: ImageFetcherOptions = {}, signal?: AbortSignal) => {
    const port = await listening(answer);
    return fetched(`http://127.0.0.1:${port}/`, { imagePrivateHosts: [`127.0.0.1:${port}`], ...more }, signal);
  };

  test.each<[string, RequestListener]>([
    ["a page", (_, response) => response.writeHead(200, { "content-type": "text/html" }).end(picture)],
    [
      "a page that calls itself an image",
      (_, response) => response.writeHead(200, { "content-type": "image/png" }).end("<html>"),
    ],
    ["an SVG", (_, response) => response.writeHead(200, { "content-type": "image/svg+xml" }).end("<svg/>")],
    ["nothing", (_, response) => response.writeHead(200, { "content-type": "image/png" }).end()],
    ["no type", (_, response) => response.writeHead(200).end(picture)],
    ["an error", (_, response) => response.writeHead(404, { "content-type": "image/png" }).end(picture)],
    [
      "a packed body",
      (_, response) =>
        response.writeHead(200, { "content-type": "image/png", "content-encoding": "gzip" }).end(picture),
    ],
    ["a redirect to nowhere", (_, response) => response.writeHead(302).end()],
    ["redirects without end", (_, response) => response.writeHead(302, { location: "/" }).end()],
    [
      "a body that breaks off",
      (_, response) =>
        response
          .writeHead(200, { "content-type": "image/png", "content-length": "9999" })
          .write(picture, () => response.destroy()),
    ],
    ["no answer", (_, response) => response.destroy()],
    [
      "a length beyond the limit",
      (_, response) =>
        response.writeHead(200, { "content-type": "image/png", "content-length": "99999999" }).write("x"),
    ],
  ])("%s is refused", async (_, answer) => {
    await expect(from(answer)).rejects.toMatchObject(noImage);
  });

  test("a body without end is read up to the limit", async () => {
    const piece = Buffer.alloc(2 ** 20);
    const answer: RequestListener = (_, response) => {
      response.writeHead(200, { "content-type": "image/png" });
      const send = () => {
        while (!response.destroyed && response.write(piece));
        response.once("drain", send);
      };
      send();
    };
    await expect(from(answer)).rejects.toThrow(/limit requestImageBytes/);
  });

  test("a host that says nothing, or sends slowly, is waited for so long", async () => {
    await expect(from(() => {}, { timeoutMs: 50 })).rejects.toThrow(/received nothing within 0.05 s/);
    const slow: RequestListener = (_, response) => response.writeHead(200, { "content-type": "image/png" }).write("x");
    await expect(from(slow, { timeoutMs: 50 })).rejects.toThrow(/received nothing within 0.05 s/);
    const never = { imageHosts: ["*"], timeoutMs: 50, resolve: () => new Promise<never>(() => {}) };
    await expect(fetched("http://images.test/", never)).rejects.toThrow(/received nothing within 0.05 s/);
  });

  test("a client that goes ends the fetching", async () => {
    const controller = new AbortController();
    const reason = new Error("the client is gone");
    const asked = from(() => controller.abort(reason), {}, controller.signal);
    await expect(asked).rejects.toBe(reason);
  });
});

test("addresses of the public network", () => {
  for (const address of ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"])
    expect(isPublicAddress(address)).toBe(true);
});

test.each(["https://example.org", "a/b", "user@host", "", ".", "*.example.org", "a b", "host:port"])(
  "hosts that are none: %j",
  (entry) => {
    expect(() => new ImageHosts({ imageHosts: [entry] })).toThrow(/expected imageHosts: a host/);
    expect(() => new ImageHosts({ imagePrivateHosts: ["*"] })).toThrow(/expected imagePrivateHosts: a host/);
  },
);
