/**
 * The part of a conversation that is shown: its items from `first` up to `end`, which is not among them.
 */

/** Items before the first unread one that are shown with it, so that one sees what it is about. */
const BEFORE = 10;

export class ItemRange {
  first = 0;
  end = 0;

  /** @param {number} page the number of items that are shown at once */
  constructor(page) {
    this.page = page;
  }

  /**
   * Begin at the newest items, or at an older one.
   *
   * @param {number} count the number of all items
   * @param {number} [at] the older one; less than 0 if there is none
   */
  begin(count, at = -1) {
    this.first = Math.max(0, count - this.page);
    this.end = count;
    if (at >= 0 && at < this.first) {
      this.first = Math.max(0, at - BEFORE);
      this.end = Math.min(count, this.first + 2 * this.page);
    }
  }

  /** Add a page of older items. Returns the range that is new. */
  extendUp() {
    const end = this.first;
    this.first = Math.max(0, end - this.page);
    return { first: this.first, end };
  }

  /** Add a page of newer items. Returns the range that is new. @param {number} count the number of all items */
  extendDown(count) {
    const first = this.end;
    this.end = Math.min(count, first + this.page);
    return { first, end: this.end };
  }

  /**
   * Note that items were inserted.
   *
   * @param {number} index
   * @param {number} inserted their number
   * @param {number} count the number of all items, with them
   * @returns {"above" | "within" | "below"} `within` also behind the newest item, if that is shown
   */
  insert(index, inserted, count) {
    if (index <= this.first) {
      this.first += inserted;
      this.end += inserted;
      return "above";
    }
    if (index < this.end || (index === this.end && index + inserted === count)) {
      this.end += inserted;
      return "within";
    }
    return "below";
  }

  /** Note that an item was removed. @param {number} index */
  remove(index) {
    if (index < this.first) this.first--;
    if (index < this.end) this.end--;
  }

  /** True for an item above those that are shown. @param {number} index less than 0 if there is no such item */
  isAbove(index) {
    return index >= 0 && index < this.first;
  }

  /** Show some items less at the top. @param {number} number */
  dropAbove(number) {
    this.first += number;
  }

  /** Show some items less at the bottom. @param {number} number */
  dropBelow(number) {
    this.end -= number;
  }
}
