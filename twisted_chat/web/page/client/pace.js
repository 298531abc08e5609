/**
 * The rate limit of a client, and its backoff. All times are in seconds.
 *
 * @module
 */

/** The share of the server's burst that is used. The rest is for a network that delays what was sent within a second
 * and delivers it all at once. */
const BURST_SHARE = 0.8;

/** The share of the server's rate that is used. The rest is for clocks that differ. */
const RATE_SHARE = 0.95;

/** Bytes of a request that take one more token at the server. */
const TOKEN_BYTES = 4096;

/** The shortest pause. One message after each pause would cost more than a few together. */
const SHORTEST_PAUSE = 0.05;

/** The shortest time before a retry, whatever the server says: a `retry` of 0 must not keep both busy. */
export const LEAST_PAUSE = 0.01;

/** The longest backoff without the jitter: a server that comes back is found within half a minute. */
export const LONGEST_PAUSE = 30;

/**
 * A token bucket like the server's, which keeps messages below the server's rate limit.
 *
 * A server refuses messages that come too fast, one by one, and many refusals in a row end the connection. So a client
 * stays below the limits of the `welcome`. Requests may overdraw the bucket; messages wait for a token.
 */
export class Pace {
  #rate;
  #burst;
  #tokens;
  #at;

  /**
   * @param {Readonly<Record<string, number>>} limits the server's limits by their names
   * @param {number} now
   */
  constructor(limits, now) {
    this.#rate = (limits.rate ?? 0) * RATE_SHARE;
    this.#burst = Math.max(1, (limits.burst ?? 0) * BURST_SHARE);
    this.#tokens = this.#burst;
    this.#at = now;
  }

  /**
   * Take the tokens for something that is sent.
   *
   * @param {number} size in bytes
   */
  spend(size) {
    this.#tokens -= 1 + Math.floor(size / TOKEN_BYTES);
  }

  /**
   * Return the seconds before the next message may be sent; 0 if it may be sent now.
   *
   * @param {number} now
   */
  pause(now) {
    if (this.#tokens >= 1 || !this.#rate) return 0;
    this.#tokens = Math.min(this.#burst, this.#tokens + Math.max(0, now - this.#at) * this.#rate);
    this.#at = now;
    return this.#tokens >= 1 ? 0 : SHORTEST_PAUSE + (1 - this.#tokens) / this.#rate;
  }
}

/**
 * Return the seconds before the n-th try: 0.5, 1, 2, ... 30, each with up to half as much again as jitter, so that a
 * restarted server does not get all of its clients back at once.
 *
 * @param {number} tries
 */
export function backoff(tries) {
  return Math.min(0.25 * 2 ** Math.min(tries, 20), LONGEST_PAUSE) * (1 + Math.random() / 2);
}

/**
 * Return the seconds before a refused request is sent again: the server's `retry`, or else the backoff.
 *
 * @param {number} tries
 * @param {number | undefined} retry
 */
export function pauseBeforeRetry(tries, retry) {
  return retry === undefined ? backoff(tries) : Math.max(LEAST_PAUSE, retry);
}
