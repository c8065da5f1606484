import Engine
import Foundation

extension RenderSession {
    /// Output paths.
    package struct Outputs: Sendable {
        package var picture: String
        /// Whether the picture gets a numbered name if its own is taken, instead of replacing that file.
        package var isNumbered: Bool
        /// A folder that exists, below which folders of the picture may have to be created; nil where none may.
        package var fixedFolder: String?
        /// Bits per channel in pictures.
        package var depth: PixelDepth
        /// The format; nil for that of the picture's extension.
        package var format: PictureFormat?
        /// 1 to 100, of formats that lose something; nil for the default.
        package var quality: Int?
        package var phases: String?
        package var inputs: String?
        package var dump: String?

        package init(
            picture: String,
            isNumbered: Bool = false,
            depth: PixelDepth = .eight,
            format: PictureFormat? = nil,
            quality: Int? = nil,
            phases: String? = nil,
            inputs: String? = nil,
            dump: String? = nil
        ) {
            (self.picture, self.isNumbered, self.depth) = (picture, isNumbered, depth)
            (self.format, self.quality) = (format, quality)
            self.phases = phases
            self.inputs = inputs
            self.dump = dump
        }

        /// Whether the picture goes to standard output.
        package var isStream: Bool { picture == PictureFormat.standardOutput }

        /// The format of the picture.
        ///
        /// - Throws: `InputError` for an extension without a format
        func resolvedFormat() throws(InputError) -> PictureFormat {
            try PictureFormat(path: picture, flag: "--output", given: format)
        }

        /// Rejects a picture that its format cannot hold.
        ///
        /// - Throws: `InputError`
        func validate(for session: RenderSession) throws(InputError) {
            let size = session.plan.settings.size
            try resolvedFormat().check(
                "--output \(picture)",
                depth: depth,
                quality: quality,
                size: (size.height, size.width),
                text: session.text(digest: "").chunks
            )
        }

        /// Rejects paths that cannot be written to, before hours of rendering. Writes nothing.
        ///
        /// - Throws: `InputError` naming the flag
        package func validate() throws(InputError) {
            let format = try resolvedFormat()
            try format.check("--output \(picture)", depth: depth, quality: quality)
            for (flag, path) in [("--output", picture), ("--dump", dump)] {
                guard let path, flag == "--dump" || !isStream else { continue }
                let own = URL(fileURLWithPath: path).deletingLastPathComponent().path
                let folder = path == picture ? fixedFolder ?? own : own
                guard access(folder, W_OK) == 0 else {
                    throw InputError(
                        "\(flag) \(path)",
                        "the folder \(folder) cannot be written to",
                        fix: "Create it or choose another"
                    )
                }
                // A finished file replaces whatever has its name: it would remove a pipe or a device.
                switch FileKind(path) {
                case .none, .regular: continue
                case .folder:
                    throw InputError("\(flag) \(path)", "it is a folder", fix: "Name a file in it")
                case .special:
                    throw InputError(
                        "\(flag) \(path)",
                        "it is a pipe, a socket or a device",
                        fix: "Name a regular file"
                    )
                }
            }
            guard let phases else { return }
            // The others are created in the nearest folder that exists, which must be writable.
            var nearest = URL(fileURLWithPath: phases).standardizedFileURL
            while FileKind(nearest.path) == nil, nearest.path != "/" {
                nearest.deleteLastPathComponent()
            }
            guard FileKind(nearest.path) == .folder, access(nearest.path, W_OK | X_OK) == 0 else {
                throw InputError(
                    "--save-phases \(phases)",
                    "\(nearest.path) is not a folder that can be written to",
                    fix: "Choose another"
                )
            }
        }

        /// Creates the folder for the phases' pictures, and that of a picture whose folder's name has fields.
        ///
        /// - Throws: `OutputError` when it cannot be created
        package func makeFolders() throws {
            let own = URL(fileURLWithPath: picture).deletingLastPathComponent().path
            for folder in [phases, fixedFolder == nil ? nil : own].compactMap(\.self) {
                do {
                    try FileManager.default.createDirectory(
                        atPath: folder,
                        withIntermediateDirectories: true
                    )
                } catch {
                    throw OutputError(
                        folder,
                        "the folder cannot be created: \(error.localizedDescription)"
                    )
                }
            }
        }
    }
}
