/// Commands that convert files of other formats. They need Python with PyTorch on the user's machine: such files can run
/// code when they are opened, or need arithmetic that Tessera does not implement.
package enum Conversion {
    /// For checkpoints pickled by PyTorch, and A1111's textual inversions (`string_to_param`): `weights_only` rejects those
    /// that would run code.
    static let pickle = "Convert it (pip install torch safetensors): \(pickleCommand)"

    /// The command alone; the user replaces its last two arguments.
    package static let pickleCommand = """
        python3 -c "import sys, torch; from safetensors.torch import save_file; \
        s = torch.load(sys.argv[1], map_location='cpu', weights_only=True); s = s.get('state_dict', s); \
        e = s.get('string_to_param'); s = {'emb_params': list(e.values())[0]} if e else s; \
        s = {k: v.detach().clone().contiguous() for k, v in s.items() if torch.is_tensor(v)}; \
        save_file(s, sys.argv[2]) if s else sys.exit('there are no tensors in it')" OLD NEW.safetensors
        """

    /// For GGUF files, whose weights are quantised in blocks.
    static let gguf = """
        Convert it (pip install gguf torch safetensors): python3 -c "import sys, torch; from gguf import GGUFReader, dequantize; \
        from safetensors.torch import save_file; save_file({t.name: torch.from_numpy(dequantize(t.data, t.tensor_type).copy()).half() \
        for t in GGUFReader(sys.argv[1]).tensors}, sys.argv[2])" OLD.gguf NEW.safetensors; then name the other parts with --base
        """
}
