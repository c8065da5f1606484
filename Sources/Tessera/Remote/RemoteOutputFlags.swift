import ArgumentParser
import Coordinator
import Engine
import Foundation
import Service

/// Where to save a service's picture on this host.
struct RemoteOutputFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The picture, or - for standard output. An existing file is replaced when the picture is complete. "
                + "(default: out.png, or the first of out-2.png, out-3.png … that is free)",
            valueName: "file"
        ),
        completion: .file(extensions: ["png", "jpg", "webp", "tif", "tiff"])
    )
    var output: String?

    /// Where to save a picture that the service already has, in its format.
    ///
    /// - Throws: `InputError` naming the flag
    func place(ofStored format: JobRequest.Format) throws(InputError) -> RenderSession.Outputs {
        let known = PictureFormat(format)
        if let output, output != PictureFormat.standardOutput {
            guard (try? PictureFormat(path: output, flag: "--output")) == known else {
                throw InputError(
                    "--output \(output)",
                    "the picture is stored as .\(known.fileExtension)",
                    fix: "Use .\(known.fileExtension)"
                )
            }
        }
        return try place(format)
    }

    /// The output path, checked before anything is rendered or sent.
    ///
    /// - Parameter format: format of the picture
    /// - Returns: the output path
    /// - Throws: `InputError` naming the flag
    func place(_ format: JobRequest.Format) throws(InputError) -> RenderSession.Outputs {
        let format = PictureFormat(format)
        guard let output else {
            return RenderSession.Outputs(
                picture: "out.\(format.fileExtension)",
                isNumbered: true,
                format: format
            )
        }
        let template = try NameTemplate(output)
        guard !template.hasFields else {
            throw InputError(
                "--output \(output)",
                "names of a service's pictures have no fields",
                fix: "Name a file; {{ is a brace"
            )
        }
        let path = template.path([:])
        _ = try PictureFormat(path: path, flag: "--output", given: format)
        if path != PictureFormat.standardOutput { try OutputPath.check(path, flag: "--output") }
        return RenderSession.Outputs(picture: path, format: format)
    }
}

extension PictureFormat {
    init(_ format: JobRequest.Format) {
        switch format {
        case .png: self = .png
        case .tif: self = .tiff
        case .jpeg: self = .jpeg
        case .webp: self = .webP
        }
    }
}

extension JobRequest.Format {
    init(_ format: PictureFormat) {
        switch format {
        case .png: self = .png
        case .tiff: self = .tif
        case .jpeg: self = .jpeg
        case .webP: self = .webp
        }
    }
}

extension ServiceClient {
    /// Downloads the picture of a job. The file appears only once it is complete.
    ///
    /// - Parameters:
    ///   - job: a finished job
    ///   - place: where to save the picture
    /// - Returns: the path
    /// - Throws: `ServiceClientError`, `OutputError`
    func fetch(_ job: RemoteJob, to place: RenderSession.Outputs) throws -> String {
        let answer = try send("GET", "/api/v1/jobs/\(job.id)/picture")
        try check(answer, answer.all())
        let file = try TemporaryFile(for: place.picture)
        var head: [UInt8] = []
        while head.count < PictureFormat.headBytes, let bytes = try answer.next() { head += bytes }
        guard PictureFormat(job.format).isBegun(by: head) else {
            throw ServiceClientError.foreign("\(address)")
        }
        try file.write(head)
        var count = head.count
        while let bytes = try answer.next() {
            try file.write(bytes)
            count += bytes.count
        }
        guard answer.length.map({ $0 == count }) ?? true else {
            throw ServiceClientError.unreachable(
                "\(address)",
                reason: "the picture ended after \(count) bytes"
            )
        }
        if place.isNumbered { return try file.commitNumbered() }
        try file.commit()
        return place.picture
    }
}
