/** The look of messages: prose, code, thoughts, calls of tools, tokens. */
export const contentStyle = `
.messages { max-width: var(--column); margin: 0 auto; padding: 1rem 0 1.5rem; display: flex; flex-direction: column; gap: 1.1rem; min-height: 100%; }
.message { content-visibility: auto; contain-intrinsic-size: auto 140px; min-width: 0; margin-inline: -.4rem; padding-inline: .4rem; }
.message .body { overflow-wrap: anywhere; }
.message.user { align-self: flex-end; max-width: 85%; display: flex; flex-direction: column; align-items: flex-end; }
.message.editing { width: 100%; max-width: 100%; align-self: stretch; }
.message.user .body { white-space: pre-wrap; background: var(--raised); border-radius: 18px 18px 5px 18px; padding: .6rem 1rem; }
.message.user .body:empty { display: none; }
.message.tool .body { white-space: pre-wrap; font: 13px/1.55 var(--mono); background: var(--code); border: 1px solid var(--line); border-radius: 10px; padding: .6rem .8rem; max-height: 20rem; overflow: auto; }
.message footer { display: flex; flex-wrap: wrap; align-items: center; gap: .15rem .7rem; min-height: 1.9rem; margin-top: .2rem; }
.message.assistant .actions { margin-left: -.35rem; }
.actions { display: flex; align-items: center; }
.message .actions .icon { width: 16px; height: 16px; }
.versions { display: flex; align-items: center; font-size: 13px; color: var(--soft); font-variant-numeric: tabular-nums; white-space: nowrap; }
.stats { font-size: 12.5px; color: var(--soft); font-variant-numeric: tabular-nums; }
.error { margin-top: .5rem; padding: .55rem .8rem; border-radius: 10px; font-size: 14.5px; background: var(--bad-wash); color: var(--bad); overflow-wrap: anywhere; }
.waiting::before { content: ""; display: inline-block; width: 10px; height: 10px; border-radius: 50%; background: var(--flame); animation: pulse 1.2s ease-in-out infinite; }
.images { display: flex; flex-wrap: wrap; gap: .5rem; justify-content: flex-end; }
.images:empty, .calls:empty { display: none; }
.images img { max-width: min(20rem, 100%); max-height: 18rem; border-radius: 14px; margin-bottom: .4rem; }
.editor { width: 100%; }
.editor textarea { border-color: var(--edge); border-radius: 14px; padding: .6rem .9rem; max-height: 60dvh; }
.editor textarea:focus-visible { outline-offset: -2px; }
.editor .row { justify-content: flex-end; margin-top: .4rem; }

.body > :first-child { margin-top: 0; }
.body > :last-child { margin-bottom: 0; }
.body p, .body ul, .body ol, .body blockquote, .body .table, .body .code { margin: 0 0 .85rem; }
.body h1, .body h2, .body h3, .body h4, .body h5, .body h6 { margin: 1.4rem 0 .5rem; line-height: 1.3; font-family: var(--serif); font-weight: 600; letter-spacing: -.01em; white-space: normal; padding: 0; }
.body h1 { font-size: 1.45rem; } .body h2 { font-size: 1.25rem; } .body h3 { font-size: 1.1rem; } .body h4, .body h5, .body h6 { font-size: 1rem; }
.body ul, .body ol { padding-left: 1.5rem; }
.body li { margin: .2rem 0; }
.body li > p { margin-bottom: .35rem; }
.body li::marker { color: var(--soft); }
.body li > ul, .body li > ol { margin-bottom: .2rem; }
.body blockquote { border-left: 3px solid var(--line); padding-left: 1rem; color: var(--soft); }
.body a { color: var(--flame); text-underline-offset: 2px; }
.body hr { border: 0; border-top: 1px solid var(--line); margin: 1.5rem 0; }
.body img { max-width: 100%; border-radius: 10px; }
.body :not(pre) > code { font: .88em/1.4 var(--mono); background: var(--raised); border-radius: 5px; padding: .1em .35em; }
.body .table { overflow-x: auto; }
.body table { border-collapse: collapse; font-size: 14.5px; font-variant-numeric: tabular-nums; }
.body th { text-align: left; font-weight: 600; border-bottom: 1.5px solid var(--edge); }
.body td { border-bottom: 1px solid var(--line); }
.body th, .body td { padding: .4rem .9rem .4rem 0; vertical-align: top; }
.code { border: 1px solid var(--line); border-radius: 12px; background: var(--code); overflow: hidden; }
.code-head { display: flex; align-items: center; justify-content: space-between; padding: .25rem .4rem .2rem .9rem; font-size: 12.5px; color: var(--soft); border-bottom: 1px solid var(--line); }
.copy-code { display: inline-flex; align-items: center; gap: .35rem; font-size: 12.5px; color: var(--soft); padding: .2rem .5rem; }
.copy-code:hover { color: var(--ink); background: var(--raised); }
.copy-code .icon { width: 14px; height: 14px; }
.code pre { margin: 0; padding: .75rem .9rem; overflow-x: auto; font: 13.5px/1.55 var(--mono); tab-size: 4; }
.code pre:focus-visible { outline-offset: -3px; border-radius: 12px; }

.thoughts { margin-bottom: .7rem; border-left: 2px solid var(--line); padding-left: .9rem; color: var(--soft); font-size: 14.5px; }
.thoughts summary { cursor: pointer; width: max-content; font-size: 13.5px; }
.thought-text { white-space: pre-wrap; overflow-wrap: anywhere; padding-top: .4rem; }
.call { border: 1px solid var(--line); border-radius: 12px; padding: .6rem .9rem .8rem; margin-top: .6rem; background: var(--side); }
.call h3 { display: flex; gap: .45rem; align-items: center; font-size: 14px; }
.call h3 .icon { color: var(--flame); }
.call h3 code { font-family: var(--mono); }
.call pre { margin: .5rem 0 0; font: 13px/1.5 var(--mono); white-space: pre-wrap; overflow-wrap: anywhere; max-height: 16rem; overflow: auto; }
.call form { display: flex; flex-direction: column; align-items: flex-end; gap: .4rem; margin-top: .7rem; }
.call textarea { font: 13px/1.5 var(--mono); }

.token-list { white-space: pre-wrap; line-height: 1.85; }
.token { border-radius: 3px; cursor: default; padding: .12em 0; }
.token:hover, .token:focus { box-shadow: 0 0 0 1.5px var(--flame); outline: none; }
.tint1 { background: light-dark(#f7efcf, #35301a); }
.tint2 { background: light-dark(#fbe3bd, #45331a); }
.tint3 { background: light-dark(#fdd2b4, #552f1c); }
.tint4 { background: light-dark(#fbc3bd, #5f2626); }
.alternatives { position: fixed; z-index: 4; width: 15rem; padding: .5rem .7rem; border-radius: 10px; border: 1px solid var(--line); background: var(--paper); box-shadow: 0 6px 24px var(--shade); font-size: 12.5px; pointer-events: none; }
.alternatives .row { display: grid; grid-template-columns: 5.2rem 1fr 3.6rem; }
.alternatives code { font: 12.5px/1.7 var(--mono); overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.alternatives .chosen { font-weight: 600; color: var(--flame); }
.alternatives .bar { height: 6px; border-radius: 3px; background: var(--raised); overflow: hidden; }
.alternatives .bar::before { content: ""; display: block; height: 100%; width: calc(var(--share) * 100%); background: var(--flame); border-radius: 3px; }
.alternatives .row > :last-child { text-align: right; font-variant-numeric: tabular-nums; }

.welcome { margin: auto; padding: 1rem 0 3rem; max-width: 30rem; text-align: center; display: flex; flex-direction: column; align-items: center; gap: .75rem; }
.welcome h2 { font: 600 1.7rem/1.25 var(--serif); letter-spacing: -.015em; overflow-wrap: anywhere; }
.welcome p:not(.small) { color: var(--soft); }
.welcome .small span { display: block; }
.modes { display: flex; padding: 3px; border-radius: 999px; background: var(--raised); }
.modes input { position: absolute; opacity: 0; }
.modes label { cursor: pointer; border-radius: 999px; padding: .32rem 1.1rem; }
.modes label > span:only-of-type { margin: 0; font-size: 14px; }
.modes label:has(:checked) { background: var(--paper); box-shadow: 0 1px 4px var(--shade); }
.modes label:has(:checked) span { color: var(--ink); font-weight: 600; }
.modes label:has(:focus-visible) { outline: 2px solid var(--flame); }

[data-mode=text] .messages:has(.message) { display: block; font-size: 16.5px; line-height: 1.75; }
[data-mode=text] .message { content-visibility: visible; display: inline; }
[data-mode=text] .message .body { display: inline; white-space: pre-wrap; background: none; padding: 0; }
[data-mode=text] .message.assistant .body { color: var(--flame); }
[data-mode=text] .message .token-list { display: inline; color: var(--ink); }
[data-mode=text] .message:not(:last-child) footer { display: none; }
[data-mode=text] .message footer { margin-top: .8rem; }
`;
