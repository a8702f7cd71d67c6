// Looks at the page as somebody with weak eyes, a screen reader, big fingers or a small screen does. Each function
// gives what it finds wrong; none is right.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

const axeSource = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** WCAG 1.4.3 for text, 1.4.11 for signs. */
const TEXT_CONTRAST = 4.5;
const SIGN_CONTRAST = 3;
/** WCAG 2.5.5, CSS pixels. */
const TARGET = 44;

/**
 * What axe-core finds, by all its rules or only these.
 * @param {import("playwright-core").Page} page
 * @param {string[]} [only]
 */
export async function axe(page, only) {
  // By the debugger: the page's own policy lets in no foreign script.
  if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(axeSource);
  return page.evaluate(async (only) => {
    const rules = only ? { runOnly: only } : { rules: { "target-size": { enabled: true } } };
    // @ts-ignore the script above defines it
    const { violations } = await window.axe.run(document, { preload: false, ...rules });
    return violations.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`));
  }, only);
}

/**
 * Text, placeholders and signs that stand out too little from what is behind them, also where axe-core does not
 * look: in placeholders, disabled buttons and what is hidden from screen readers.
 */
export function faint(page) {
  return page.evaluate(
    ([text, sign]) => {
      const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
      const known = new Map();
      /** Any CSS colour as red, green, blue, opacity. */
      const rgba = (colour) => {
        if (!known.has(colour)) {
          canvas.clearRect(0, 0, 1, 1);
          canvas.fillStyle = colour;
          canvas.fillRect(0, 0, 1, 1);
          const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
          known.set(colour, [r, g, b, a / 255]);
        }
        return known.get(colour);
      };
      const over = ([r, g, b, a], [r2, g2, b2], opacity) => {
        const mix = (front, back) => front * a * opacity + back * (1 - a * opacity);
        return [mix(r, r2), mix(g, g2), mix(b, b2)];
      };
      const luminance = (colour) => {
        const [r, g, b] = colour.map((value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const contrast = (one, other) => {
        const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
        return (light + 0.05) / (dark + 0.05);
      };
      /** The ancestors, outermost first. */
      const path = (element) => (element ? [...path(element.parentElement), element] : []);
      const measure = (element, colour) => {
        let back = rgba(getComputedStyle(document.body).backgroundColor).slice(0, 3);
        let opacity = 1;
        for (const one of path(element)) {
          const style = getComputedStyle(one);
          opacity *= Number(style.opacity);
          back = over(rgba(style.backgroundColor), back, opacity);
        }
        return contrast(over(rgba(colour), back, opacity), back);
      };
      const modal = document.querySelector("dialog:modal");
      const isSeen = (element) =>
        element.checkVisibility({ opacityProperty: true, visibilityProperty: true }) &&
        !element.closest("[inert], .hidden, .skip:not(:focus)") &&
        (!modal || modal.contains(element));
      const found = [];
      const check = (element, what, colour, least) => {
        const ratio = measure(element, colour);
        if (ratio < least) found.push(`${ratio.toFixed(2)} < ${least}: ${what} in ${element.outerHTML.slice(0, 120)}`);
      };
      const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
      while (texts.nextNode()) {
        const element = texts.currentNode.parentElement;
        const words = texts.currentNode.data.trim();
        if (words === "" || element.matches("script, style, noscript, option") || !isSeen(element)) continue;
        check(element, JSON.stringify(words.slice(0, 30)), getComputedStyle(element).color, text);
      }
      for (const field of document.querySelectorAll("input, textarea, select")) {
        if (!isSeen(field)) continue;
        check(field, "value", getComputedStyle(field).color, text);
        const { color, opacity } = getComputedStyle(field, "::placeholder");
        const [r, g, b, a] = rgba(color);
        if (field.placeholder) check(field, "placeholder", `rgb(${r} ${g} ${b} / ${a * Number(opacity)})`, text);
      }
      for (const icon of document.querySelectorAll("svg.icon")) {
        if (isSeen(icon)) check(icon.parentElement, "icon", getComputedStyle(icon).stroke, sign);
      }
      return found;
    },
    [TEXT_CONTRAST, SIGN_CONTRAST],
  );
}

/** What a finger may miss: smaller than 44 pixels. Links within sentences may be. */
export function small(page) {
  return page.evaluate((least) => {
    const modal = document.querySelector("dialog:modal");
    const targets = [...document.querySelectorAll("button, input, select, textarea, [role=option], a[href]:not(.bubble a)")];
    return targets
      .filter((target) => target.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && !target.closest("[inert]"))
      .filter((target) => !modal || modal.contains(target))
      .map((target) => [target, target.getBoundingClientRect()])
      .filter(([, { width, height }]) => width < least - 0.01 || height < least - 0.01)
      .map(([target, { width, height }]) => `${width.toFixed(1)} × ${height.toFixed(1)}: ${target.outerHTML.slice(0, 120)}`);
  }, TARGET);
}

/** What is wider than the screen, and what should stand on one line and stands on more. */
export function wrapped(page) {
  return page.evaluate(() => {
    const found = [];
    const width = document.documentElement.scrollWidth;
    if (width > innerWidth) found.push(`the page is ${width} pixels wide, the screen ${innerWidth}`);
    const single = ".head h1, .head p, .areas button, .brand, nav.rooms li > button, .side h2, .side.people li, .from, .when:not(.failed), .day, .to-end, .typing, .actions button, .link, .more-people, .me .who > bdi, .me small:not(.problem)";
    for (const element of document.querySelectorAll(single)) {
      if (!element.checkVisibility({ visibilityProperty: true }) || element.closest(".hidden")) continue;
      const range = document.createRange();
      range.selectNodeContents(element);
      const rows = [...range.getClientRects()].filter(({ width, height }) => width > 1 && height > 1);
      // Parts of one line overlap in height.
      const top = Math.max(...rows.map(({ top }) => top));
      const bottom = Math.min(...rows.map(({ bottom }) => bottom));
      if (rows.length > 0 && top >= bottom) found.push(`on several lines: ${element.outerHTML.slice(0, 200)}`);
    }
    const box = document.querySelector("#composer");
    if (box && box.value === "" && box.clientHeight > 48) found.push(`the empty message box is ${box.clientHeight} pixels high`);
    return found;
  });
}
