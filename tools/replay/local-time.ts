/** Converts wall-clock times of one time zone to instants. Intl knows the daylight saving rules of every year. */
export interface Instant {
  /** Milliseconds since 1970, UTC. */
  at: number;
  /** ISO 8601 with the zone's offset at that time, such as 2017-01-01T00:12:05-08:00. */
  iso: string;
}

const two = (n: number) => String(n).padStart(2, "0");

const MINUTE = 60_000;
const DAY = 86_400_000;

/** 01/31/2017 11:59:49 PM, 2017/01/31 11:59:49 PM, or 2017-01-31T23:59:49.000: the forms in which DataSF exports. */
const FORMS = [
  /^(?<month>\d\d)\/(?<day>\d\d)\/(?<year>\d{4}) (?<hour>\d\d):(?<minute>\d\d):(?<second>\d\d) (?<half>[AP]M)$/i,
  /^(?<year>\d{4})\/(?<month>\d\d)\/(?<day>\d\d) (?<hour>\d\d):(?<minute>\d\d):(?<second>\d\d) (?<half>[AP]M)$/i,
  /^(?<year>\d{4})-(?<month>\d\d)-(?<day>\d\d)T(?<hour>\d\d):(?<minute>\d\d):(?<second>\d\d)(?:\.\d+)?$/,
];

/**
 * The instant of a local time. In the hour that is repeated in autumn, the first that is not before `notBefore`.
 * Throws an Error with the reason, also for the hour that is skipped in spring.
 */
export function localTime(text: string, zone: string, notBefore = -Infinity): Instant {
  const wall = wallClock(text);
  const offsets = new Set([wall - DAY, wall + DAY].map((near) => offsetAt(near, zone)));
  const readings = [...offsets]
    .map((offset) => ({ at: wall - offset, offset }))
    .filter(({ at, offset }) => offsetAt(at, zone) === offset)
    .toSorted((a, b) => a.at - b.at);
  const chosen = readings.find(({ at }) => at >= notBefore) ?? readings[0];
  if (chosen === undefined) throw new Error(`"${text}" did not exist: the clocks skipped that hour`);
  return { at: chosen.at, iso: toIso(wall, chosen.offset) };
}

/** The wall-clock time, as if it were UTC. */
function wallClock(text: string): number {
  const parts = FORMS.map((form) => form.exec(text)).find((match) => match !== null)?.groups;
  if (parts === undefined) throw new Error(`"${text}" is not a time like 01/31/2017 11:59:49 PM`);
  const of = (name: string) => Number(parts[name]);
  const half = parts["half"]?.toUpperCase();
  const hour = half === undefined ? of("hour") : (of("hour") % 12) + (half === "PM" ? 12 : 0);
  const wall = Date.UTC(of("year"), of("month") - 1, of("day"), hour, of("minute"), of("second"));
  // Date.UTC carries 31 June over to 1 July: a time that does not round-trip does not exist.
  const [back, given] = [
    new Date(wall).toISOString(),
    `${two(of("month"))}-${two(of("day"))}T${two(hour)}:${parts["minute"]}:${parts["second"]}`,
  ];
  const onClock = half === undefined || (of("hour") >= 1 && of("hour") <= 12);
  if (!onClock || back.slice(5, 19) !== given) throw new Error(`"${text}" is not a time that exists`);
  return wall;
}

const formats = new Map<string, Intl.DateTimeFormat>();

/** How far the zone's clocks are ahead of UTC at an instant, in milliseconds. */
function offsetAt(at: number, zone: string): number {
  const format =
    formats.get(zone) ??
    new Intl.DateTimeFormat("en-US", { timeZone: zone, timeZoneName: "longOffset", year: "numeric" });
  formats.set(zone, format);
  const name = format.formatToParts(at).find((part) => part.type === "timeZoneName")?.value ?? "";
  const match = /^GMT(?:([+-])(\d\d):(\d\d))?$/.exec(name);
  if (match === null) throw new RangeError(`the offset of ${zone} is "${name}", which is not in whole minutes`);
  const minutes = Number(match[2] ?? 0) * 60 + Number(match[3] ?? 0);
  return (match[1] === "-" ? -minutes : minutes) * MINUTE;
}

function toIso(wall: number, offset: number): string {
  const minutes = Math.abs(offset) / MINUTE;
  const sign = offset < 0 ? "-" : "+";
  return `${new Date(wall).toISOString().slice(0, 19)}${sign}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
}
