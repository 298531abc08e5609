/**
 * Dialogs: the browser's own, which keep the focus and close with Escape.
 */

import { byId, h, icon } from "./dom.js";
import { textOf } from "./texts.js";

let count = 0;

/**
 * Open a dialog. It is gone once it is closed, and the focus is where it was.
 *
 * @param {string} title
 * @param {...import("./dom.js").Child} children
 */
export function openDialog(title, ...children) {
  const body = h("div", { class: "dialog-body" }, ...children);
  return showDialog(title, body, body.querySelector("[autofocus], input, select, textarea, button"));
}

/**
 * Show a dialog that is made of a title and a body.
 *
 * @param {string} title
 * @param {HTMLElement} body
 * @param {HTMLElement | null} first the element that gets the focus
 */
function showDialog(title, body, first) {
  const id = `dialog-${++count}`;
  const close = () => dialog.close();
  const closeButton = h("button", { type: "button", class: "icon", "aria-label": "Close", click: close }, icon("close"));
  const head = h("div", { class: "dialog-head" }, h("h2", { id }, title), closeButton);
  const dialog = h("dialog", { "aria-labelledby": id, class: "dialog" }, head, body);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) close(); // the shade around it
  });
  document.body.append(dialog);
  dialog.showModal();
  first?.focus();
  return dialog;
}

/**
 * @typedef {object} Field
 * @property {string} label
 * @property {string} name
 * @property {string} [hint]
 * @property {string} [value]
 * @property {string} [type] of an `input`; `check` and `select` too
 * @property {string[][]} [options] of a `select`: values and their words
 * @property {Record<string, unknown>} [attributes]
 */

/** What was filled in, by the names of the fields: true or false for those of the type `check`.
 * @typedef {Record<string, any>} Values */

/**
 * Ask a person something, and do it. While it is done the dialog waits; a refusal is shown in it.
 *
 * @param {string} title
 * @param {object} form
 * @param {string} [form.text]
 * @param {Field[]} [form.fields]
 * @param {string} form.button
 * @param {boolean} [form.danger]
 * @param {(values: Values) => unknown} form.act may return a promise; throws to refuse
 */
export function ask(title, { text, fields = [], button, danger, act }) {
  const error = h("p", { class: "error", role: "alert" });
  const submit = h("button", { class: danger ? "primary danger" : "primary" }, button);
  const cancel = h("button", { type: "button", class: "secondary", click: () => dialog.close() }, "Cancel");
  const form = h(
    "form",
    { class: "dialog-body", novalidate: true },
    text && h("p", {}, text),
    ...fields.map(buildField),
    error,
    h("div", { class: "dialog-buttons" }, cancel, submit),
  );
  const dialog = showDialog(title, form, form.querySelector("input, select") ?? submit);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    error.textContent = "";
    submit.disabled = true;
    try {
      await act(readFields(form, fields));
      dialog.close();
    } catch (problem) {
      error.textContent = textOf(problem);
    } finally {
      submit.disabled = false;
    }
  });
  return dialog;
}

/** @param {Field} field */
function buildField({ label, name, hint, value = "", type = "text", options = [], attributes = {} }) {
  if (type === "check") {
    return h("label", { class: "check" }, h("input", { type: "checkbox", name, checked: Boolean(value) }), h("span", {}, label));
  }
  const input =
    type === "select"
      ? h("select", { name, ...attributes }, ...options.map(([one, words]) => h("option", { value: one, selected: one === value }, words)))
      : h("input", { name, type, value, ...attributes });
  return h("label", { class: "field" }, h("span", {}, label), input, hint && h("small", {}, hint));
}

/** @param {HTMLFormElement} form @param {Field[]} fields @returns {Values} */
function readFields(form, fields) {
  return Object.fromEntries(
    fields.map(({ name, type }) => {
      const input = /** @type {HTMLInputElement} */ (form.elements.namedItem(name));
      return [name, type === "check" ? input.checked : input.value];
    }),
  );
}

/**
 * Show a note in passing.
 *
 * @param {string} text
 * @param {{action?: string, act?: () => void}} [more] a button in it
 */
export function toast(text, { action, act } = {}) {
  const note = h("div", { class: "toast" }, h("span", { dir: "auto" }, text));
  const remove = () => note.remove();
  if (action) {
    note.append(h("button", { type: "button", click: () => (remove(), act?.()) }, action));
  }
  note.append(h("button", { type: "button", class: "toast-close", "aria-label": "Close", click: remove }, "✕"));
  const toasts = byId("toasts");
  while (toasts.childElementCount > 2) {
    toasts.firstElementChild?.remove();
  }
  toasts.append(note);
  setTimeout(remove, Math.max(6000, text.length * 80)); // as long as it takes to read it
}
