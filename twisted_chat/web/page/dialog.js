/**
 * Dialogs: the browser's own, which keep the focus and close with Escape.
 */

import { h, icon } from "./dom.js";
import { textOf } from "./texts.js";

let count = 0;

/**
 * Open a dialog. It is gone once it is closed, and the focus is where it was.
 *
 * @param {string} title
 * @param {...(Node | string | null | false)} children
 * @returns {HTMLDialogElement}
 */
export function openDialog(title, ...children) {
  const id = `dialog-${++count}`;
  const close = () => dialog.close();
  const dialog = /** @type {HTMLDialogElement} */ (
    h(
      "dialog",
      { "aria-labelledby": id, class: "dialog" },
      h("div", { class: "dialog-head" }, h("h2", { id }, title), h("button", { type: "button", class: "icon", "aria-label": "Close", click: close }, icon("close"))),
      h("div", { class: "dialog-body" }, ...children),
    )
  );
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) close(); // the shade around it
  });
  document.body.append(dialog);
  dialog.showModal();
  /** @type {HTMLElement | null} */ (dialog.querySelector("[autofocus], .dialog-body input, .dialog-body select, .dialog-body textarea, .dialog-body button"))?.focus();
  return dialog;
}

/**
 * @typedef {object} Field
 * @property {string} label
 * @property {string} name
 * @property {string} [hint]
 * @property {string} [value]
 * @property {string} [type] of an `input`; `check` and `select` too
 * @property {[string, string][]} [options] of a `select`: values and their words
 * @property {Record<string, unknown>} [attributes]
 */

/**
 * Ask a person something, and do it. While it is done the dialog waits; a refusal is shown in it.
 *
 * @param {string} title
 * @param {object} form
 * @param {string} [form.text]
 * @param {Field[]} [form.fields]
 * @param {string} form.button
 * @param {boolean} [form.danger]
 * @param {(values: Record<string, any>) => unknown} form.act may return a promise; throws to refuse
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
  const dialog = openDialog(title);
  dialog.querySelector(".dialog-body").replaceWith(form);
  (form.querySelector("input, select, textarea") ?? submit).focus();
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    error.textContent = "";
    /** @type {HTMLButtonElement} */ (submit).disabled = true;
    try {
      await act(readFields(form, fields));
      dialog.close();
    } catch (problem) {
      error.textContent = textOf(problem);
    } finally {
      /** @type {HTMLButtonElement} */ (submit).disabled = false;
    }
  });
  return dialog;
}

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

function readFields(form, fields) {
  const read = ({ name, type }) => (type === "check" ? form.elements[name].checked : form.elements[name].value);
  return Object.fromEntries(fields.map((field) => [field.name, read(field)]));
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
  const toasts = document.getElementById("toasts");
  while (toasts.childElementCount > 2) {
    toasts.firstElementChild.remove();
  }
  toasts.append(note);
  setTimeout(remove, Math.max(6000, text.length * 80)); // as long as it takes to read it
}
