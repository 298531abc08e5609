/**
 * The reader of a log, of a room or of the direct messages with a partner: which entry is handed out, and which waits.
 *
 * A stream brings the entries of a log in order and without gaps, so a reader is a cursor and a queue.
 *
 * @module
 */

/** @typedef {import("./objects.js").Entry} Entry */

/** The number of the client's own messages after which a page is read to move the cursor over them: a reconnect would
 * replay them all. It is as many as fit into a page. */
export const MAX_OWN = 500;

/** A cursor in a log, over any number of connections, and the entries that are known beyond it. */
export class LogReader {
  /** @type {Entry[]} */
  #queue = [];
  /** The numbers of the client's own acked messages after the cursor: their author gets acks in place of them.
   * @type {Set<number>} */
  #own = new Set();
  /** The number of those that the end of the log did not show: they were trimmed. */
  #unseen = 0;
  /** If the next entry bears the client's nick: its number, and the ids of the messages that it may be.
   * @type {{seq: number, ids: Set<string>}} */
  #held = { seq: -1, ids: new Set() };

  /** @param {number} seq the number of the entry after which the log is read */
  constructor(seq) {
    /** The cursor: all entries up to this one were handed out. */
    this.seq = seq;
    /** The number of the newest entry that was heard. */
    this.edge = seq;
    /** The number of the newest of the client's own messages that was acked. */
    this.ownEdge = 0;
  }

  /**
   * True if a log whose newest entry has this number is not the one that is read: it was lost, and begins again. The
   * numbers of acked messages show that too, where nobody else has said anything.
   *
   * @param {number} newest
   */
  isNewLog(newest) {
    const known = Math.max(this.edge, this.ownEdge);
    return known > 0 && newest < known;
  }

  /** True while a page has to be read to move the cursor over the client's own messages. */
  get isCrowded() {
    return this.#own.size - this.#unseen > MAX_OWN && this.#queue.length === 0;
  }

  /**
   * Take an entry, live, replayed or of a page. One that is known already is passed over.
   *
   * @param {Entry} entry
   */
  heard(entry) {
    if (entry.seq <= this.edge) return;
    this.edge = entry.seq;
    if (entry.type === "delete") this.#blank(entry);
    this.#queue.push(entry);
  }

  /**
   * Take the text from a message that is deleted before it was handed out.
   *
   * @param {Entry} deletion
   */
  #blank(deletion) {
    const index = this.#queue.findIndex((entry) => entry.seq === deletion.of);
    if (index >= 0) this.#queue[index] = { ...this.#queue[index], msg: "", deleted: deletion.seq };
  }

  /**
   * Note the number of one of the client's own messages.
   *
   * @param {number} seq
   */
  acked(seq) {
    this.ownEdge = Math.max(this.ownEdge, seq);
    if (seq > this.seq) this.#own.add(seq);
  }

  /**
   * Take a page, which was asked for after the edge. Returns false if it has nothing new: that is the end of the log.
   *
   * @param {{entries: Entry[], last: number}} page
   */
  read({ entries, last }) {
    const isNew = last > this.edge;
    for (const entry of entries) this.heard(entry);
    this.edge = Math.max(this.edge, last); // entries of unknown types are passed over
    if (!isNew) this.#unseen = this.#own.size; // what is acked beyond the cursor is not in the log any more
    return isNew;
  }

  /**
   * Take the next entry that is not the client's own; null if none is known that may be handed out.
   *
   * `unacked` are the ids of the client's messages that may be in the log already. An entry under the client's own
   * `nick` may be one of them, so it waits until they are acked: an ack may arrive after its message.
   *
   * @param {string} nick
   * @param {ReadonlySet<string>} unacked
   * @returns {Entry | null}
   */
  take(nick, unacked) {
    for (let entry = this.#queue[0]; entry !== undefined; entry = this.#queue[0]) {
      const isOwn = this.#own.has(entry.seq);
      if (!isOwn && entry.author === nick && this.#isHeld(entry.seq, unacked)) return null;
      this.#queue.shift();
      this.#advance(entry.seq);
      if (!isOwn) return entry;
    }
    return null;
  }

  /**
   * @param {number} seq
   * @param {ReadonlySet<string>} unacked
   */
  #isHeld(seq, unacked) {
    // Messages that the client sends from now on come after this entry in the log.
    if (this.#held.seq !== seq) this.#held = { seq, ids: new Set(unacked) };
    for (const id of this.#held.ids) if (unacked.has(id)) return true;
    return false;
  }

  /** @param {number} seq */
  #advance(seq) {
    this.seq = seq;
    for (const own of this.#own) if (own <= seq) this.#own.delete(own);
    this.#unseen = Math.min(this.#unseen, this.#own.size);
  }
}
