import { embed } from "../../grammar/embed.ts";
import {
  alternatives,
  anyOfCharacters,
  type Expression,
  optional,
  repeat,
  sequence,
} from "../../grammar/expression.ts";
import { type Grammar, grammarOfRules } from "../../grammar/grammar.ts";
import type { AnswerForm } from "./answer-form.ts";
import { type AnswerMarks, CallRules } from "./call-rules.ts";
import { startTexts } from "./start-texts.ts";
import { type ThoughtMarks, thoughtMarks } from "./thought-marks.ts";

/** A grammar of whole answers. */
export interface AnswerGrammar {
  grammar: Grammar;
  /** The rule of thoughts, from behind their begin to their end; undefined where there are none. */
  thinking: number | undefined;
}

/** Blanks that may stand before thoughts and after them. Models write up to two line ends. */
const MOST_BLANKS = 4;
const blanks = repeat(anyOfCharacters(" \n"), 0, MOST_BLANKS);
const where = "the form of an answer";

/**
 * The grammar of the answers of a plan, thoughts included. Where the prompt has not opened thoughts, the model may: it
 * must close them before it answers.
 * @param content what the answer is, where it is no call
 * @throws OptionError for a schema of a tool that is not followed, or a limit
 */
export function answerGrammar(plan: AnswerForm, marks: AnswerMarks, content?: Grammar): AnswerGrammar {
  const rules = new CallRules(marks);
  const thoughts = thoughtMarks(plan);
  const body = rules.rule("the answer", answerBody(plan, rules, content));
  const thinking = thoughts && thinkingRule(rules, thoughts);
  const root = rules.rule(
    "the text",
    thoughts && thinking ? withThoughts(plan, rules, { thoughts, thinking, body }) : body,
  );
  return { grammar: grammarOfRules(rules.rules, root.rule, where, rules.languages), thinking: thinking?.rule };
}

/** Thoughts alone: what comes before them, and what follows behind their begin. */
export function thoughtGrammars(
  plan: AnswerForm,
  marks: AnswerMarks,
): { begin: Grammar; thinking: Grammar } | undefined {
  const thoughts = thoughtMarks(plan);
  if (!thoughts) return undefined;
  const grammarOf = (expression: (rules: CallRules) => Expression) => {
    const rules = new CallRules(marks);
    const whole = sequence(expression(rules), rules.free([]));
    return grammarOfRules(rules.rules, rules.rule("thoughts", whole).rule, where, rules.languages);
  };
  return {
    begin: grammarOf((rules) => sequence(blanks, rules.literal(thoughts.begin))),
    thinking: grammarOf((rules) => thinkingRule(rules, thoughts)),
  };
}

const thinkingRule = (rules: CallRules, { end }: ThoughtMarks) => {
  const mark = rules.literal(end);
  return rules.rule("thoughts", sequence(rules.free([mark]), mark));
};

interface Parts {
  thoughts: ThoughtMarks;
  thinking: Expression;
  body: Expression;
}

function withThoughts(plan: AnswerForm, rules: CallRules, { thoughts, thinking, body }: Parts): Expression {
  const begin = sequence(blanks, rules.literal(thoughts.begin));
  const after = sequence(rules.literal(thoughts.between), blanks, body);
  // where the prompt has opened them, models at times do it once more
  if (plan.isReasoningOpen) return sequence(optional(begin), thinking, after);
  return alternatives(body, sequence(begin, thinking, after));
}

function answerBody(plan: AnswerForm, rules: CallRules, content?: Grammar): Expression {
  const { calls: written } = plan;
  const calls = written && rules.rule("calls", sequence(blanks, rules.calls(written.calls)));
  if (calls && plan.grammar?.isRequired) return calls;
  if (content) return alternatives(contentBody(plan, rules, content), ...(calls ? [calls] : []));
  return calls ? freeBody(plan, rules, calls) : rules.free([]);
}

/** Free text, and calls that are held from their trigger on. What a parser could read as other calls is no text. */
function freeBody(plan: AnswerForm, rules: CallRules, calls: Expression): Expression {
  const isHarmony = plan.format!.name === "harmony";
  const begins = isHarmony ? ["to=functions."] : plan.format!.begins;
  const thoughts = thoughtMarks(plan);
  const excluded = [...begins, ...(thoughts ? [thoughts.begin] : [])].map((text) => rules.literal(text));
  const marks = isHarmony ? plan.keptTokens.filter((text) => !plan.endTokens.includes(text)) : [];
  const start = isHarmony ? undefined : startTexts(plan.calls!, begins);
  if (start === undefined) return sequence(rules.free(excluded, marks), optional(calls));
  return alternatives(rules.freeBut(start, excluded), calls);
}

function contentBody(plan: AnswerForm, rules: CallRules, content: Grammar): Expression {
  const text = embed(content, rules.rules);
  if (plan.format?.name !== "harmony") return text;
  return sequence(rules.literal("<|channel|>final<|message|>"), text);
}
