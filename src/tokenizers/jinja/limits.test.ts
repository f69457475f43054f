/**
 * Templates that would not end, or would fill the memory: each stops at a limit, in seconds, as a TemplateError; real
 * ones are far from it.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { limits } from "../../base/index.ts";
import { Template } from "./template.ts";
import { TemplateError } from "./values.ts";

const long = "x".repeat(2_000_000);
const doubled = (start: string, step: string, times: number) =>
  `{% set ns = namespace(x=${start}) %}${`{% set ns.x = ${step} %}`.repeat(times)}`;

const endless: Record<string, string> = {
  "a macro that calls itself twice":
    "{% macro f(n) %}{{ f(n + 1) if n < 60 }}{{ f(n + 1) if n < 60 }}{% endmacro %}{{ f(0) }}",
  "a macro that calls itself": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
  "loops in loops": "{% for i in range(10000) %}{% for j in range(10000) %}{% endfor %}{% endfor %}",
  "ranges in a loop": "{% for i in range(1000) %}{% set x = range(1000000) %}{% endfor %}",
  "a long range": "{{ range(1000000000) | length }}",
  "sorting in a loop": "{% set x = range(30000) | list %}{% for i in range(30000) %}{% set y = x | sort %}{% endfor %}",
  "joining in a loop": "{% set x = range(30000) | list %}{% for i in x %}{% set y = x | join(',') %}{% endfor %}",
  "searching in a loop": "{% set x = range(50000) | list %}{% for i in x %}{% if -1 in x %}{% endif %}{% endfor %}",
  "searching a text in a loop": "{% for i in range(100000) %}{% if 'y' in long %}{% endif %}{% endfor %}",
  "mapping in a loop":
    "{% set x = range(30000) | list %}{% for i in x %}{% set y = x | map('string') | list %}{% endfor %}",
  "characters of a long text in a loop": "{% for i in range(100000) %}{% set c = long[3] %}{% endfor %}",
  "slices in a loop": "{% for i in range(100000) %}{% set c = long[1:] %}{% endfor %}",
  "steps below 1": "{{ 'abc'[::0.0000001] }}",
  "tests in a loop": "{% for i in range(100000) %}{% if long is lower %}{% endif %}{% endfor %}",
  "comparisons in a loop":
    "{% set a = long ~ 'a' %}{% set b = long ~ 'b' %}{% for i in range(100000) %}{% if a < b %}{% endif %}{% endfor %}",
  "different things that print alike":
    "{% set ns = namespace(x=[]) %}{% for i in range(60000) %}{% set ns.x = ns.x + [namespace()] %}{% endfor %}{{ ns.x | unique | length }}",
  "a long text times a number": "{{ 'a' * 500000000 }}",
  "a list times a number": "{{ ([0] * 1000000000) | length }}",
  "a number times a text": "{{ 1000000000 * 'a' }}",
  "texts that double": doubled("'aaaaaaaa'", "ns.x + ns.x", 40),
  "texts that double by ~": doubled("'aaaaaaaa'", "ns.x ~ ns.x", 40),
  "lists that double": doubled("[1]", "ns.x + ns.x", 40),
  "lists of two of the same, printed": `${doubled("[1]", "[ns.x, ns.x]", 60)}{{ ns.x }}`,
  "lists of two of the same, compared": `${doubled("[1]", "[ns.x, ns.x]", 60)}${"{% set y = ns.x == [ns.x[0], ns.x[1]] %}".repeat(2)}{{ ns.x | tojson }}`,
  "batches filled up": "{{ [1] | batch(1000000000, 'x') | list }}",
  "padding with zeros": "{{ '1'.zfill(1000000000) }}",
  "padding on both sides": "{{ 'a' | center(1000000000) }}{{ 'a'.ljust(1000000000) }}",
  "padding of each": "{{ range(1000) | map('center', 1000000) | list | length }}",
  "a wide field": "{{ '%1000000000d' % 1 }}",
  "wide indents": "{{ '\\n\\n\\n' | indent(1000000000) }}{{ [[1]] | tojson(indent=1000000000) }}",
  "long replacements": "{{ long | replace('x', long) | length }}{{ long.replace('', long) | length }}",
  "long separators": "{{ range(10000) | join(long) | length }}{{ long.join(['a'] * 10000) }}",
};
test.each(Object.entries(endless))("%s", (_, source) => {
  const started = performance.now();
  expect(() => new Template(source).render({ long })).toThrow(TemplateError);
  expect(performance.now() - started).toBeLessThan(20_000); // a second or two on a machine that does nothing else
});

const faults: Record<string, string> = {
  "a whole number beyond doubles": "{{ 10 ** 400 }}",
  "items of a number": "{{ 5 | items }}",
  "a break outside of a loop": "{% break %}",
  "a break in a macro": "{% macro f() %}{% break %}{% endmacro %}{% for i in [1] %}{{ g }}{% endfor %}{{ f() }}",
  "a continue outside of a loop": "{% continue %}",
  "keywords of a number": "{{ dict(**1) }}",
  "a negative indent": "{{ 'a\\nb' | indent(-1) }}",
  "500 decimals": "{{ '%.500f' % 1 }}",
  "half a pair of surrogates": "{{ half | urlencode }}",
  "lists 20,000 deep": `{{ ${"[".repeat(20_000)}${"]".repeat(20_000)} }}`,
  "5,000 additions": `{{ 1${" + 1".repeat(5000)} }}`,
  "100,000 tests": `{{ 1${" is defined".repeat(100_000)} }}`,
  "10,000 blocks": `${"{% if true %}".repeat(10_000)}${"{% endif %}".repeat(10_000)}`,
  "the keys of a text": "{{ 'a' | dictsort }}",
  "an empty cycle": "{{ cycler().next() }}",
  "a tag that does not end": `{% if ${" ".repeat(300_000)}`,
  "30,000 raw blocks that do not end": "{% raw %}".repeat(30_000),
  "a template that is too long": "a".repeat(1_000_001),
};
test.each(Object.entries(faults))("%s is a TemplateError of four parts", (_, source) => {
  const error = (() => {
    try {
      return new Template(source).render({ half: "\ud800" });
    } catch (cause) {
      return cause;
    }
  })();
  expect(error).toBeInstanceOf(TemplateError);
  expect((error as Error).message).toMatch(/^chat template: expected .+; received .+ Fix: .+\.$/s);
});

test("what is long but sound is read", () => {
  expect(new Template(`{% raw %}{{ a }}{%- endraw %}{{ 1 }}${"{% raw %}b{% endraw %}".repeat(2000)}`).render({})).toBe(
    `{{ a }}1${"b".repeat(2000)}`,
  );
  expect(new Template("{{ d | int }}{{ d | float }}{{ ' 12 ' | int }}").render({ d: "1".repeat(1_000_000) })).toBe(
    "0inf12",
  );
  expect(new Template("{{ (long | upper | trim).split('Y') | length }}").render({ long })).toBe("1");
  expect(
    new Template("{% for c in [3, 1, 3, 1.0, 'a', 'A', none, none] | unique(true) %}{{ c }},{% endfor %}").render({}),
  ).toBe("3,1,a,A,None,");
});

describe("splits with a limit keep the space at the end that is not cut", () => {
  test.each([
    ["'a b '.split(none, 1)", "['a', 'b ']"],
    ["' a b  c '.rsplit(none, 1)", "[' a b', 'c']"],
    ["'  a b'.rsplit(none, 1)", "['  a', 'b']"],
    ["' a b '.split(none, 0)", "['a b ']"],
    ["' a b '.rsplit(none, 0)", "[' a b']"],
    ["' a '.split(none, 5)", "['a']"],
  ])("%s", (source, text) => expect(new Template(`{{ ${source} }}`).render({})).toBe(text));
});

test("templates of models take less than a hundredth of the steps", () => {
  const folder = fileURLToPath(new URL("../../../golden/chat-templates/", import.meta.url));
  const { cases, conversations, tools } = JSON.parse(gunzipSync(readFileSync(`${folder}expected.json.gz`)).toString());
  let most = 0;
  for (const { template, conversation, options, text } of cases) {
    if (text === undefined || options.continue_final_message) continue;
    const variables = {
      messages: conversations[conversation],
      bos_token: "<s>",
      eos_token: "</s>",
      ...options,
      tools: options.tools ? tools : null,
    };
    try {
      most = Math.max(most, new Template(readFileSync(`${folder}${template}.jinja`, "utf8")).measure(variables).steps);
    } catch (error) {
      expect(error).toBeInstanceOf(TemplateError); // asks for what chatFormat gives
      expect((error as Error).message).not.toMatch(/limit/);
    }
  }
  expect(most).toBeGreaterThan(100);
  expect(most).toBeLessThan(limits.templateSteps / 100);
});
