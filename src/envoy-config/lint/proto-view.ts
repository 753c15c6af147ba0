/**
 * Read access to a message in proto3 JSON from outside: any part may be absent or have the wrong type, and fields may be named as
 * in the .proto file or in camelCase. Nothing here throws.
 */
import { isJsonObject } from "../../core/json/parse.ts";

const MISSING: unknown = undefined;

/** A place in the document, and the value there. */
export class ProtoView {
  readonly value: unknown;
  /** Such as `static_resources.listeners[0].name`. */
  readonly path: string;

  constructor(value: unknown, path: string) {
    this.value = value;
    this.path = path;
  }

  /** False also for null, which means absent in proto3 JSON. */
  get exists(): boolean {
    return this.value !== undefined && this.value !== null;
  }

  /** The field's own name, as `name` of `static_resources.listeners[0].name`. */
  get field(): string {
    return this.path.slice(this.path.lastIndexOf(".") + 1);
  }

  /** A field by its name in the .proto file, or a dotted path of them. */
  get(fields: string): ProtoView {
    return fields.split(".").reduce<ProtoView>((view, field) => view.#field(field), this);
  }

  /** A field by the one name that is given. */
  spelled(name: string): ProtoView {
    return new ProtoView(ownValue(this.value, name), this.path === "" ? name : `${this.path}.${name}`);
  }

  /** The value of a map's key, which has one spelling and may hold dots. */
  key(key: string): ProtoView {
    return new ProtoView(ownValue(this.value, key), `${this.path}["${key}"]`);
  }

  /** A map's keys. */
  keys(): string[] {
    return isJsonObject(this.value) ? Object.keys(this.value) : [];
  }

  /** A repeated field's members. */
  items(): ProtoView[] {
    return Array.isArray(this.value)
      ? this.value.map((item, index) => new ProtoView(item, `${this.path}[${index}]`))
      : [];
  }

  get text(): string | undefined {
    return typeof this.value === "string" ? this.value : undefined;
  }

  /** Also an integer in quotes, as proto3 JSON prints 64 bits. */
  get number(): number | undefined {
    if (typeof this.value === "number") return this.value;
    return this.text !== undefined && /^\d+$/.test(this.text) ? Number(this.text) : undefined;
  }

  /** True, or the text, which Envoy's runtime takes too. */
  get isTrue(): boolean {
    return this.value === true || this.value === "true";
  }

  /** An enum's value: its name, or the name that its number has in `names`. */
  enumIn(names: readonly string[]): string | undefined {
    return typeof this.value === "number" ? names[this.value] : this.text;
  }

  /** A google.protobuf.Duration in ms. */
  get duration(): number | undefined {
    const [, seconds] = /^(\d+(?:\.\d+)?)s$/.exec(this.text ?? "") ?? [];
    return seconds === undefined ? undefined : Number(seconds) * 1000;
  }

  /** Whether the `@type` of this google.protobuf.Any is the message `name`. */
  isType(name: string): boolean {
    return this.key("@type").text?.endsWith(`/${name}`) ?? false;
  }

  #field(field: string): ProtoView {
    const camel = camelCase(field);
    const written = isJsonObject(this.value) && !Object.hasOwn(this.value, field) && Object.hasOwn(this.value, camel);
    return this.spelled(written ? camel : field);
  }
}

/** The name that proto3 JSON gives a field of the .proto file. */
export function camelCase(field: string): string {
  return field.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

function ownValue(value: unknown, key: string): unknown {
  return isJsonObject(value) && Object.hasOwn(value, key) ? value[key] : MISSING;
}
