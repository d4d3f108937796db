import { describe, expect, it } from "vitest";
import { localTime } from "../../tools/replay/local-time.ts";

const ZONE = "America/Los_Angeles";

describe("local time", () => {
  it.each([
    ["02/03/2021 12:00:00 AM", "2021-02-03T00:00:00-08:00", "midnight is 12 AM"],
    ["02/03/2021 12:00:01 PM", "2021-02-03T12:00:01-08:00", "noon is 12 PM"],
    ["02/03/2021 01:02:03 PM", "2021-02-03T13:02:03-08:00", "afternoon"],
    ["07/03/2021 11:59:59 pm", "2021-07-03T23:59:59-07:00", "summer time"],
    ["2021/07/03 11:59:59 PM", "2021-07-03T23:59:59-07:00", "DataSF's newer form"],
    ["2021-07-03T23:59:59.000", "2021-07-03T23:59:59-07:00", "DataSF's API"],
    ["02/29/2020 06:00:00 AM", "2020-02-29T06:00:00-08:00", "leap day"],
    ["03/14/2021 01:59:59 AM", "2021-03-14T01:59:59-08:00", "the last second before the clocks skip"],
    ["03/14/2021 03:00:00 AM", "2021-03-14T03:00:00-07:00", "the first second after"],
    ["11/07/2021 12:59:59 AM", "2021-11-07T00:59:59-07:00", "the last second before the repeated hour"],
    ["11/07/2021 02:00:00 AM", "2021-11-07T02:00:00-08:00", "the first second after it"],
    ["11/07/2006 02:00:00 AM", "2006-11-07T02:00:00-08:00", "a year in which other rules held"],
  ])("reads %s as %s (%s)", (text, iso) => {
    expect(localTime(text, ZONE)).toEqual({ at: Date.parse(iso), iso });
  });

  it("takes the first reading of the repeated hour, unless the time before it was later", () => {
    const text = "11/07/2021 01:10:00 AM";
    expect(localTime(text, ZONE).iso).toBe("2021-11-07T01:10:00-07:00");
    expect(localTime(text, ZONE, Date.parse("2021-11-07T01:50:00-07:00")).iso).toBe("2021-11-07T01:10:00-08:00");
    expect(localTime(text, ZONE, Date.parse("2021-11-07T09:00:00-08:00")).iso).toBe("2021-11-07T01:10:00-07:00");
  });

  it.each([
    ["03/14/2021 02:30:00 AM", /did not exist/],
    ["02/30/2021 01:00:00 AM", /not a time that exists/],
    ["13/01/2021 01:00:00 AM", /not a time that exists/],
    ["01/01/2021 13:00:00 PM", /not a time that exists/],
    ["01/01/2021 00:30:00 AM", /not a time that exists/],
    ["01/01/2021 01:60:00 AM", /not a time that exists/],
    ["1/1/2021 1:00", /not a time like/],
    ["yesterday", /not a time like/],
  ])("refuses %s", (text, message) => {
    expect(() => localTime(text, ZONE)).toThrow(message);
  });

  it("knows zones with offsets that are not whole hours", () => {
    expect(localTime("01/01/2021 01:00:00 AM", "Asia/Kathmandu").iso).toBe("2021-01-01T01:00:00+05:45");
    expect(localTime("01/01/2021 01:00:00 AM", "UTC").iso).toBe("2021-01-01T01:00:00+00:00");
  });
});
