// What somebody is called, in the direction it is written in; with a part of the id where others are called the same.

export function Name({ name, tag }: { name: string; tag?: string | undefined }) {
  return (
    <>
      <bdi>{name}</bdi>
      {tag !== undefined && <span class="tag" title={`One of several people called ${name}`}> ·{tag}</span>}
    </>
  );
}
