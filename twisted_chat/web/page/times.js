/**
 * Times as people read them, in the language and the time zone of the browser.
 */

const DAY = 24 * 60 * 60 * 1000;

/**
 * Makes texts of times. Without a language, those of the browser.
 */
export class Times {
  #clock;
  #full;
  #day;
  #dayOfYear;
  #relative;
  #key;

  /**
   * @param {string} [language]
   * @param {string} [zone] a time zone such as `Europe/Berlin`
   * @param {string} [words] the language of the names of days, which stand among the words of the page
   */
  constructor(language, zone, words = language) {
    /** @param {Intl.DateTimeFormatOptions} options */
    const format = (options) => new Intl.DateTimeFormat(language, { timeZone: zone, ...options });
    this.#clock = format({ hour: "numeric", minute: "2-digit" });
    this.#full = format({ dateStyle: "full", timeStyle: "medium" });
    /** @param {Intl.DateTimeFormatOptions} options */
    const inWords = (options) => new Intl.DateTimeFormat(words, { timeZone: zone, ...options });
    this.#day = inWords({ weekday: "long", day: "numeric", month: "long" });
    this.#dayOfYear = inWords({ day: "numeric", month: "long", year: "numeric" });
    this.#relative = new Intl.RelativeTimeFormat(words, { numeric: "auto" });
    this.#key = new Intl.DateTimeFormat("sv-SE", { timeZone: zone, dateStyle: "short" }); // 2026-11-22
  }

  /** The time of day of a message: `11:06`. @param {Date} time */
  clock(time) {
    return this.#clock.format(time);
  }

  /** The whole time, which a pointer on the short one shows. @param {Date} time */
  full(time) {
    return this.#full.format(time);
  }

  /** A key that is the same for all times of a day. @param {Date} time */
  dayKey(time) {
    return this.#key.format(time);
  }

  /** Count the days of the calendar: some have 23 or 25 hours. @param {Date} time */
  #dayNumber(time) {
    return Date.parse(this.dayKey(time)) / DAY;
  }

  /** The name of a day: today, yesterday, a weekday with its date, or a date of another year. @param {Date} time */
  day(time, now = new Date()) {
    const days = this.#dayNumber(now) - this.#dayNumber(time);
    if (days === 0 || days === 1) {
      const name = this.#relative.format(-days, "day");
      return name.charAt(0).toLocaleUpperCase() + name.slice(1);
    }
    const isNear = Math.abs(now.getTime() - time.getTime()) < 300 * DAY;
    return (isNear ? this.#day : this.#dayOfYear).format(time);
  }
}

/** A time with its date, in a sentence. @param {string} time as the server writes it */
export function shortTime(time) {
  return new Date(time).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

/** @type {Record<string, number>} seconds of each unit */
const UNITS = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };

/**
 * Read a length of time such as `30s`, `10m`, `1h` or `2d`. Returns seconds, or `null` for anything else.
 *
 * @param {string} text
 */
export function readDuration(text) {
  const match = /^\s*(\d{1,6})\s*([smhdw])\s*$/i.exec(text);
  return match && Number(match[1]) > 0 ? Number(match[1]) * UNITS[match[2].toLowerCase()] : null;
}

/** Seconds in words: `45 seconds`, `10 minutes`. @param {number} seconds */
export function formatDuration(seconds) {
  const whole = Object.entries({ day: 86_400, hour: 3600, minute: 60 });
  const [name, unit] = whole.find(([, unit]) => seconds >= unit && seconds % unit === 0) ?? ["second", 1];
  const count = Math.ceil(seconds / unit);
  return `${count} ${name}${count === 1 ? "" : "s"}`;
}
