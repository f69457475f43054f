import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";

/**
 * A message of protobuf, field by field. Numbers that are 0, empty texts and undefined ones are left out, as proto3
 * does; `always` is for members of a oneof, which are written even so.
 */
export class Message {
  private readonly writer = new BinaryWriter();

  bytes(): Uint8Array {
    return this.writer.finish();
  }

  double(field: number, value: number | undefined): this {
    if (value) this.writer.tag(field, WireType.Bit64).double(value);
    return this;
  }

  /** Several numbers as one field. */
  doubles(field: number, values: readonly number[]): this {
    if (values.length === 0) return this;
    this.writer.tag(field, WireType.LengthDelimited).fork();
    for (const value of values) this.writer.double(value);
    this.writer.join();
    return this;
  }

  int(field: number, value: number | undefined): this {
    if (value) this.writer.tag(field, WireType.Varint).int64(value);
    return this;
  }

  text(field: number, value: string | undefined): this {
    if (value) this.writer.tag(field, WireType.LengthDelimited).string(value);
    return this;
  }

  message(field: number, value: Message | undefined): this {
    return value ? this.always.bytes(field, value.bytes()) : this;
  }

  /** Fields that stand there whatever their value. */
  readonly always = {
    double: (field: number, value: number): this => {
      this.writer.tag(field, WireType.Bit64).double(value);
      return this;
    },
    float: (field: number, value: number): this => {
      this.writer.tag(field, WireType.Bit32).float(value);
      return this;
    },
    bool: (field: number, value: boolean): this => {
      this.writer.tag(field, WireType.Varint).bool(value);
      return this;
    },
    bytes: (field: number, value: Uint8Array): this => {
      this.writer.tag(field, WireType.LengthDelimited).bytes(value);
      return this;
    },
    text: (field: number, value: string): this => {
      this.writer.tag(field, WireType.LengthDelimited).string(value);
      return this;
    },
  };
}
