import { connect, type Socket } from "node:net";

export interface HttpAnswer {
  status: number;
  body: string;
}

interface Waiting {
  resolve(answer: HttpAnswer): void;
  reject(error: Error): void;
}

const OPEN_WITHIN_MS = 5000;

/**
 * One keep-alive connection, one request at a time. Implements just enough of HTTP/1.1 for the servers of this bench:
 * node:http costs several times its CPU, and the load must not take the cores from what is measured.
 */
export class HttpConnection {
  readonly #socket: Socket;
  #received = "";
  #waiting: Waiting | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.setEncoding("latin1");
    socket.on("data", (text: string) => this.#receive(text));
    socket.on("error", (error) => this.#fail(error));
    socket.on("close", () => this.#fail(new Error("the server closed the connection")));
  }

  static open(port: number): Promise<HttpConnection> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host: "127.0.0.1", timeout: OPEN_WITHIN_MS });
      socket.once("error", reject);
      socket.once("timeout", () => socket.destroy(new Error("it could not connect in time")));
      socket.once("connect", () => {
        socket.setTimeout(0);
        socket.removeListener("error", reject);
        resolve(new HttpConnection(socket));
      });
    });
  }

  /** @param request the complete request, in Latin-1 */
  send(request: string): Promise<HttpAnswer> {
    return new Promise((resolve, reject) => {
      if (this.#waiting) return reject(new Error("one request at a time"));
      if (this.#socket.destroyed) return reject(new Error("the connection is closed"));
      this.#waiting = { resolve, reject };
      this.#socket.write(request, "latin1");
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #receive(text: string): void {
    this.#received += text;
    const bodyAt = this.#received.indexOf("\r\n\r\n") + 4;
    if (bodyAt < 4) return;
    const head = this.#received.slice(0, bodyAt);
    const length = /^content-length: *(\d+)/im.exec(head)?.[1];
    if (length === undefined) return this.#fail(new Error(`a response without a content-length:\n${head}`));
    const endsAt = bodyAt + Number(length);
    if (this.#received.length < endsAt) return;
    const answer = { status: Number(head.slice(9, 12)), body: this.#received.slice(bodyAt, endsAt) };
    this.#received = this.#received.slice(endsAt);
    this.#take()?.resolve(answer);
  }

  #fail(error: Error): void {
    this.#socket.destroy();
    this.#take()?.reject(error);
  }

  #take(): Waiting | undefined {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    return waiting;
  }
}
