import { Hono } from "hono";
import { z } from "zod";
import { describe, expect, test } from "vitest";
import { noSuch, Problem, PROBLEMS, type ProblemCode } from "../../functions/http/problem.ts";
import { parseQuery } from "../../functions/http/query.ts";
import { answerProblem } from "../../functions/http/response-headers.ts";

const codes = Object.keys(PROBLEMS) as ProblemCode[];

async function answered(method: string, problem: Problem) {
  const app = new Hono().all("/", (c) => answerProblem(c, problem));
  const response = await app.request("/", { method });
  return { status: response.status, text: await response.text() };
}

describe("problems of read requests", () => {
  // No GET can have this one.
  const ofReading = codes.filter((code) => code !== "idempotency-conflict");
  test.each(ofReading)("%s does not mention the Idempotency-Key", async (code) => {
    const { status, text } = await answered("GET", new Problem(code, "x"));
    expect(status).toBe(PROBLEMS[code].status);
    expect(text).not.toContain("Idempotency-Key");
    expect((JSON.parse(text) as { hint: string }).hint).toMatch(/^[A-Z].*\.$/);
  });

  test.each(["redis-unavailable", "redis-full", "internal"] as const)(
    "%s mentions it to one that changes something",
    async (code) => {
      expect((await answered("POST", new Problem(code, "x"))).text).toContain("Idempotency-Key");
    },
  );
});

test("a wrong query is named as such, with every wrong parameter", async () => {
  const app = new Hono().get("/", parseQuery(z.strictObject({ limit: z.coerce.number().optional() })), (c) =>
    c.text("ok"),
  );
  app.onError((error, c) => answerProblem(c, error as Problem));
  const body = await (await app.request("/?limit=x&color=red")).json();
  expect(body).toMatchObject({
    status: 422,
    code: "invalid-query",
    title: "The query is invalid",
    detail: "2 parameters are invalid.",
    errors: [{ pointer: "/limit" }, { pointer: "/color" }],
  });
  expect(JSON.stringify(body)).not.toContain("body");
});

test("a 404 names what was looked up, on one line and not without bound", () => {
  expect(noSuch("command", "abc", "; it is old").message).toBe('There is no command "abc"; it is old.');
  expect(noSuch("unit", `a\nb${"x".repeat(1000)}`).message.length).toBeLessThan(130);
  expect(noSuch("unit", "a\nb").message).toBe('There is no unit "a b".');
});
