// Elements that several parts of the page use.

import { word } from "./words.js";

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

export const $ = (id) => document.getElementById(id);
export const clockTime = (at) => clock.format(at);
export const fullTime = (text) => day.format(new Date(text));

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export function icon(state) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", "#" + state);
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

export const chip = (state) => make("span", { class: "chip " + state }, icon(state), make("span", {}, word(state)));

/** An instant in the time zone of the viewer: the time, and the day if it is not today. */
export function when(text) {
  const at = new Date(text);
  const today = at.toDateString() === new Date().toDateString();
  return make("time", { datetime: text, title: fullTime(text) }, today ? clockTime(at) : fullTime(text));
}

/** Replaces the instants in a sentence of the API by `when`. */
export function local(text) {
  return text.split(/(\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d))/).map((part, place) => (place % 2 ? when(part) : part));
}
