#ifndef WORKER_TOOL_PICTURE_LIST_H_
#define WORKER_TOOL_PICTURE_LIST_H_

#include <filesystem>
#include <string>
#include <vector>

namespace g2ll::tool {

// A picture file and the name of what is made from it.
struct Picture {
  std::string path;
  std::string name;  // first part of the names of its files; unique in a list
};

// A named file or folder of which nothing was made, and why, in one line that begins
// with its path.
struct Skipped {
  std::string file;
  std::string message;
};

struct PictureList {
  std::vector<Picture> pictures;
  std::vector<Skipped> skipped;
};

// The pictures that a command line names: files as they are given, folders with all
// that lies in them at any depth, by path. A file that was named before is left out.
//
// In a folder everything with the extension of a picture counts, also formats that
// cannot be read, so that they are named later; not hidden files, `__MACOSX`, what is
// made of pictures (stems that end in `_segmentation`, `_mask`, `_overlay`,
// `_superpixels`) and nothing below `output`. Folders behind links are passed over.
// Skipped: what is not there, a folder without a picture, one that cannot be listed (those
// beside it are read all the same), and a name of more than 200 bytes, which leaves no
// room for the endings of what is made.
//
// A name is the file's stem; of stems that occur more than once `FOLDER_STEM`, and
// where that too is taken, a number behind it.
PictureList FindPictures(const std::vector<std::string>& named,
                         const std::filesystem::path& output);

}  // namespace g2ll::tool

#endif  // WORKER_TOOL_PICTURE_LIST_H_
