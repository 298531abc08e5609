/**
 * Secrets, and the ids of requests, which no other session on any machine ever uses.
 *
 * The server stores a message once for each author and id, so an id that comes twice would lose a message. They are
 * UUIDs of version 7 (RFC 9562, section 5.7): milliseconds since 1970, so that they sort by time, a counter, and 62
 * random bits.
 *
 * @module
 */

/** The values of the counter within one millisecond (RFC 9562, section 6.2, method 1). */
const COUNTS = 2 ** 12;

/**
 * Return a secret of random bytes, in hexadecimal digits.
 *
 * @param {number} bytes
 */
export function secret(bytes) {
  const random = crypto.getRandomValues(new Uint8Array(bytes));
  return [...random].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Return a source of ids, each greater than the last.
 *
 * @param {() => number} [now] returns the time in milliseconds
 */
export function newIds(now = Date.now) {
  let milliseconds = 0;
  let count = 0;
  return () => {
    count += 1;
    // A full counter, or a clock set back, goes on with the next millisecond.
    if (now() > milliseconds || count === COUNTS) {
      milliseconds = Math.max(now(), milliseconds + 1);
      count = 0;
    }
    const time = milliseconds.toString(16).padStart(12, "0");
    const random = secret(8);
    const variant = (8 + (parseInt(random[0], 16) % 4)).toString(16);
    const counter = count.toString(16).padStart(3, "0");
    return `${time.slice(0, 8)}-${time.slice(8)}-7${counter}-${variant}${random.slice(1, 4)}-${random.slice(4)}`;
  };
}
