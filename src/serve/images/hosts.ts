/** Which hosts images are fetched from, and at which addresses those may be. */
import ipaddr from "ipaddr.js";
import { OptionError } from "../../base/index.ts";

/** From where images of messages are fetched. */
export interface ImageHostOptions {
  /**
   * Hosts that images of requests are fetched from: "images.example.org", ".example.org" for it and all below it, "*"
   * for any; with ":8443" at that port, otherwise at the usual one. Their addresses must be public. @default none: no
   * image is fetched
   */
  imageHosts?: readonly string[];
  /**
   * Hosts that may have addresses of this machine or network, such as "images.internal" or "10.0.0.5:9000"; each is
   * named by itself, without "." and "*". @default none
   */
  imagePrivateHosts?: readonly string[];
}

export const imageHostNames = ["imageHosts", "imagePrivateHosts"] as const;

interface HostEntry {
  name: string;
  /** "" is the usual one. */
  port: string;
}

const usualPorts: Readonly<Record<string, string>> = { "http:": "80", "https:": "443" };

/** The names of hosts that images may be fetched from. */
export class ImageHosts {
  private readonly open: readonly HostEntry[];
  private readonly private: readonly HostEntry[];

  /** @throws OptionError for what is no name of a host */
  constructor({ imageHosts = [], imagePrivateHosts = [] }: ImageHostOptions = {}) {
    this.open = imageHosts.map((entry) => readEntry("imageHosts", entry, true));
    this.private = imagePrivateHosts.map((entry) => readEntry("imagePrivateHosts", entry, false));
  }

  /** Whether images are fetched at all. */
  get areAny(): boolean {
    return this.open.length + this.private.length > 0;
  }

  /** Whether a host is allowed, and if so at public addresses alone. */
  ruleFor(url: URL): "public" | "any" | undefined {
    if (this.private.some((entry) => matches(entry, url))) return "any";
    return this.open.some((entry) => matches(entry, url)) ? "public" : undefined;
  }
}

const nameOf = ({ hostname }: URL) => hostname.replace(/\.$/, "");

function matches({ name, port }: HostEntry, url: URL): boolean {
  if (url.port !== "" && url.port !== port) return false;
  if (url.port === "" && port !== "" && port !== usualPorts[url.protocol]) return false;
  const asked = nameOf(url);
  return name === "*" || name === asked || (name.startsWith(".") && (asked.endsWith(name) || asked === name.slice(1)));
}

function readEntry(option: string, entry: string, mayBeSeveral: boolean): HostEntry {
  const [, prefix, rest, port = ""] = /^(\.?)(.*?)(?::(\d+))?$/.exec(entry) as RegExpExecArray;
  if (mayBeSeveral && prefix === "" && rest === "*") return { name: "*", port };
  const isBare = !/[/?#@\\*\s]/.test(rest) && rest !== "";
  const url = isBare && URL.canParse(`http://${rest}:${port}`) ? new URL(`http://${rest}:${port}`) : undefined;
  if (url && (mayBeSeveral || prefix === "")) return { name: prefix + nameOf(url), port };
  const several = mayBeSeveral ? ', ".example.org" or "*"' : "";
  throw new OptionError({
    where: "serve",
    expected: `${option}: a host, as "images.example.org" or "images.example.org:8443"${several}`,
    received: JSON.stringify(entry),
    fix: "correct the option",
  });
}

/** Global unicast: all that is assigned of IPv6 for the public network. */
const PUBLIC_IPV6 = ipaddr.IPv6.parseCIDR("2000::/3");

/**
 * Whether an address is one of the public network: neither this machine nor this network, nor one that leads to an
 * IPv4 address within it (mapped, NAT64, 6to4, Teredo), nor multicast or reserved.
 */
export function isPublicAddress(address: string): boolean {
  if (!ipaddr.isValid(address)) return false;
  const parsed = ipaddr.parse(address);
  if (parsed.range() !== "unicast") return false;
  return !(parsed instanceof ipaddr.IPv6) || parsed.match(PUBLIC_IPV6);
}
