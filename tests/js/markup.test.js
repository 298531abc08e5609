import assert from "node:assert/strict";
import { test } from "node:test";

import { isOnlyEmoji, mentions, parse } from "../../twisted_chat/web/page/markup.js";

/** Write a tree in short: `b[...]`, `i[...]`, `s[...]`, `c[...]`, `a[text|href]`, `m[...]`, and blocks as lists. */
function short(nodes) {
  const letters = { bold: "b", italic: "i", struck: "s", code: "c", mention: "m" };
  return nodes
    .map((node) => {
      if (node.type === "text") return node.text;
      if (node.type === "link") return `a[${node.text}|${node.href}]`;
      return `${letters[node.type]}[${node.children ? short(node.children) : node.text}]`;
    })
    .join("");
}

function blocks(text, nick) {
  return parse(text, nick).map((block) =>
    block.type === "fence" ? ["fence", block.language, block.text] : [block.type, short(block.children)],
  );
}

function line(text, nick) {
  const [[type, shown], ...others] = blocks(text, nick);
  assert.deepEqual([type, others], ["paragraph", []]);
  return shown;
}

test("marks around words make spans", () => {
  assert.equal(line("*a* _b_ **c d** ~~e~~ ***f***"), "i[a] i[b] b[c d] s[e] b[i[f]]");
  assert.equal(line("**a *b* c**"), "b[a i[b] c]");
  assert.equal(line("(*a*), **b**!"), "(i[a]), b[b]!");
  assert.equal(line("这是**重点**的"), "这是b[重点]的");
});

test("marks that are no markup stay as they were typed", () => {
  const texts = ["2*3*4", "snake_case_name", "__init__", "* a * b", "a ** b", "~a~", "****", "**a", "*a\n*b", "\\o/"];
  for (const text of [...texts, "/* a */ b */", "5 * 3 * 2", "a*b", "-_-", "^_^"]) {
    assert.equal(line(text), text);
  }
  assert.equal(line("*a **b* c**"), "i[a **b] c**", "a span ends with the one around it");
});

test("code keeps what stands in it", () => {
  assert.equal(line("`*a*` and ``b ` c``"), "c[*a*] and c[b ` c]");
  assert.equal(line("**`a*`**"), "b[c[a*]]");
  assert.equal(line("`https://a.example`"), "c[https://a.example]");
  assert.equal(line("it`s"), "it`s");
  assert.equal(line("a`b\nc`d"), "a`b\nc`d");
  assert.equal(line("*`a*`"), "*c[a*]");
});

test("fences are blocks, with a language or without", () => {
  assert.deepEqual(blocks("see\n```js\nlet a = `b`;\n\n*c*\n```\nso"), [
    ["paragraph", "see"],
    ["fence", "js", "let a = `b`;\n\n*c*"],
    ["paragraph", "so"],
  ]);
  assert.deepEqual(blocks("```two words```"), [["fence", "", "two words"]]);
  assert.deepEqual(blocks("```\na\n"), [["paragraph", "```\na\n"]], "no end");
  assert.deepEqual(blocks("````\n```\n````"), [["fence", "", "```"]]);
});

test("quotations are lines that begin with >", () => {
  assert.deepEqual(blocks("> a\n>*b*\nc\n>"), [
    ["quote", "a\ni[b]"],
    ["paragraph", "c\n>"],
  ]);
});

test("links are of three protocols, and end before the sentence goes on", () => {
  assert.equal(line("see https://a.example/b?c=d#e."), "see a[https://a.example/b?c=d#e|https://a.example/b?c=d#e].");
  assert.equal(line("(http://a.example/x_(y))"), "(a[http://a.example/x_(y)|http://a.example/x_(y)])");
  assert.equal(line("**https://a.example/**"), "b[a[https://a.example/|https://a.example/]]");
  assert.equal(line("mailto:a@b.example, ok"), "a[mailto:a@b.example|mailto:a@b.example], ok");
  assert.equal(line("https://a.example/a_b_c*d*"), "a[https://a.example/a_b_c*d|https://a.example/a_b_c*d]*");
});

test("nothing else is a link", () => {
  const texts = ["javascript:alert(1)", "data:text/html,x", "https://", "http://user@evil.example/", "mailto:", "xhttp://a"];
  for (const text of [...texts, "https://bank.example@evil.example", "file:///etc/passwd", "https://[", "vbscript:x"]) {
    assert.equal(line(text), text);
  }
  assert.equal(line('https://a.example/"onclick="x'), 'a[https://a.example/|https://a.example/]"onclick="x');
  assert.ok(line("https://a.example/\u202egpj.exe").startsWith("a[https://a.example/|https://a.example/]\u202e"));
});

test("a link shows the host that it leads to", () => {
  const cyrillic = "https://аррӏе.com/x";
  assert.equal(line(cyrillic), "a[https://xn--80ak6aa92e.com/x|https://xn--80ak6aa92e.com/x]");
  assert.equal(line("HTTP://A.example/X"), "a[HTTP://A.example/X|http://a.example/X]");
  assert.equal(line("https:\\\\evil.example"), "https:\\\\evil.example");
});

test("HTML is text", () => {
  const text = "<img src=x onerror=alert(1)><script>alert(1)</script>&amp;";
  assert.equal(line(text), text);
});

test("a mention is the nick as a word", () => {
  assert.equal(line("alice: hi @Alice, malice alice_b al", "alice"), "m[alice]: hi m[@Alice], malice alice_b al");
  assert.equal(line("**alice**", "alice"), "b[m[alice]]");
  assert.equal(line("привет Мия!", "мия"), "привет m[Мия]!");
  assert.equal(line("a.b and axb", "a.b"), "m[a.b] and axb");
  assert.equal(mentions("`alice`", "alice"), false);
  assert.equal(mentions("> alice said", "alice"), false);
  assert.equal(mentions("*alice*", "alice"), true);
  assert.equal(mentions("hi", ""), false);
});

test("a few emoji alone are large", () => {
  for (const text of ["👋", "👩‍👩‍👧‍👦 🏳️‍🌈", "🇩🇪🇫🇷❤️"]) {
    assert.equal(isOnlyEmoji(text), true, text);
  }
  for (const text of ["", "👋 hi", "1", "👋👋👋👋", "©", "👋".repeat(40)]) {
    assert.equal(isOnlyEmoji(text), false, text);
  }
});

/** Count the nodes of a tree, and its depth. */
function measure(nodes, depth = 1) {
  return nodes.reduce(
    ([count, deepest], node) => {
      const [inner, deep] = measure(node.children ?? [], depth + 1);
      return [count + 1 + inner, Math.max(deepest, depth, inner ? deep : 0)];
    },
    [0, 0],
  );
}

test("the longest texts stay flat, whatever they hold", () => {
  const hostile = ["*", "`", "_", "~", "**a ", "*a ", "`a", "*a*", "> ", ">\n", "```\n", "(", "https://a)", "*_~~**a", "@"];
  for (const piece of [...hostile, "``` ` `` ", "https://a.b ", "mailto:a@b)", "\n", "*a **b _c ~~d ", "[", "a:"]) {
    const text = piece.repeat(16_000 / piece.length);
    const [count, depth] = measure(parse(text, "a"));
    assert.ok(count <= text.length + 1 && depth <= 8, `${piece}: ${count} nodes, ${depth} deep`);
  }
});
